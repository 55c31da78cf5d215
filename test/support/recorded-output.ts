/** Keeps what programs under test write, so that .ci/run can search all of it for credentials. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";

/** `functions`: the bundles that are deployed. `programs`: what runs on a machine, and handlers in the tests' own processes. */
export type OutputSource = "functions" | "programs";

/** Does nothing unless NEARSIDE_TEST_OUTPUT names a folder. */
export function recordOutput(text: string, source: OutputSource = "programs"): void {
  const { NEARSIDE_TEST_OUTPUT: folder } = process.env;
  if (folder !== undefined && folder !== "")
    appendFileSync(join(folder, `${source}-${process.pid}.log`), text);
}
