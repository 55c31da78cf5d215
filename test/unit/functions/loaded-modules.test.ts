/** What the command line loads before it does anything. Counted, as times on a busy machine mean little. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";

const PROGRAM = fileURLToPath(new URL("../../../functions/cli/nearside.js", import.meta.url));
const RECORDER = new URL("../../support/record-modules.ts", import.meta.url).href;

/** @returns The packages, and how many modules of this project there are. */
async function loadedBy(args: readonly string[]): Promise<{ packages: string[]; ownCount: number }> {
  await using folder = await temporaryFolder();
  const record = join(folder.path, "modules");
  const env = { PATH: process.env["PATH"] ?? "", RECORDED_MODULES: record };
  await promisify(execFile)(process.execPath, ["--import", RECORDER, PROGRAM, ...args], {
    cwd: folder.path,
    env,
  });
  const urls = (await readFile(record, "utf8")).trim().split("\n");
  const packageOf = /\/node_modules\/((?:@[^/]+\/)?[^/]+)/;
  const packages = urls.flatMap((url) => packageOf.exec(url)?.[1] ?? []);
  const own = urls.filter((url) => url.startsWith("file:") && !packageOf.test(url));
  return { packages: [...new Set(packages)].toSorted(), ownCount: own.length };
}

test.each([["--version"], ["--help"]])(
  "nearside %s loads the parser of arguments and little else",
  async (arg) => {
    const { packages, ownCount } = await loadedBy([arg]);
    expect(packages).toEqual(["commander", "ipaddr.js"]);
    expect(ownCount).toBeGreaterThan(3);
    expect(ownCount).toBeLessThan(20);
  },
);

test.each([["status"], ["sync", "--help"], ["doctor", "--help"]])(
  "nearside %s %s loads no tool of deployment",
  async (...args) => {
    const { packages, ownCount } = await loadedBy(args);
    for (const name of ["aws-cdk-lib", "constructs", "memfs", "esbuild"])
      expect(packages).not.toContain(name);
    expect(ownCount).toBeGreaterThan(20);
  },
);
