/** Runs dependency-cruiser and fails as well when it saw no modules: it skips what it cannot parse, silently. */
import { execFileSync } from "node:child_process";

const SMALLEST_PLAUSIBLE_MODULE_COUNT = 20;

const output = execFileSync("depcruise", ["lib", "functions", "infra", "--output-type", "err"], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "inherit"],
});
console.log(output.trim());
const moduleCount = Number(/\((\d+) modules/.exec(output)?.[1] ?? 0);
if (moduleCount < SMALLEST_PLAUSIBLE_MODULE_COUNT) {
  console.error(
    `dependency-cruiser saw ${moduleCount} modules, fewer than ${SMALLEST_PLAUSIBLE_MODULE_COUNT}: it is not reading the source`,
  );
  process.exit(1);
}
