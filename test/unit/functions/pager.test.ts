/** Long text on a terminal goes through the user's pager. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { showPaged } from "../../../functions/cli/pager.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";

const TEXT = Array.from({ length: 30 }, (_, index) => `line ${index}`).join("\n");
const { PATH } = process.env;

test("a pager gets text that is longer than the screen, whole, with less's options as git sets them", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "shown");
  const pager = `{ cat; echo "LESS=$LESS"; } > '${file}'`;
  expect(showPaged(TEXT, { env: { PATH, PAGER: pager }, rows: 30 })).toBe(true);
  expect(readFileSync(file, "utf8")).toBe(`${TEXT}\nLESS=FRX\n`);
});

test("NEARSIDE_PAGER goes before PAGER", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "shown");
  const env = { PATH, NEARSIDE_PAGER: `cat > '${file}'`, PAGER: "exit 1" };
  expect(showPaged(TEXT, { env, rows: 30 })).toBe(true);
  expect(readFileSync(file, "utf8")).toBe(`${TEXT}\n`);
});

test.each([
  ["the text fits", { PAGER: "exit 0" }, 31],
  ["there is no terminal", { PAGER: "exit 0" }, undefined],
  ["PAGER is empty", { PAGER: "" }, 10],
  ["PAGER is cat", { PAGER: "cat" }, 10],
  ["there is no such program", { PAGER: "no-such-pager-here 2>/dev/null" }, 10],
])("the caller prints it where %s", (_, env, rows) => {
  expect(showPaged(TEXT, { env: { PATH, ...env }, rows })).toBe(false);
});
