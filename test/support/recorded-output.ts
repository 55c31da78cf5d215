/** Keeps what programs under test write, so that .ci/run can search all of it for credentials. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";

/** Does nothing unless NEARSIDE_TEST_OUTPUT names a folder. */
export function recordOutput(text: string): void {
  const { NEARSIDE_TEST_OUTPUT: folder } = process.env;
  if (folder !== undefined && folder !== "") appendFileSync(join(folder, `${process.pid}.log`), text);
}
