/** `npm run find-credentials -- <folder>`: fails if a file there holds a credential of the tests. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { searchedTexts } from "./test-credentials.ts";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: find-credentials.ts <folder>");
let all = "";
for (const name of await readdir(folder)) all += await readFile(join(folder, name), "utf8");
// The search shall not succeed because nothing was kept.
if (!all.includes('"access:decided"'))
  throw new Error("what was kept has no line about access: nothing was searched");
const found = searchedTexts().filter((text) => all.includes(text));
for (const text of found) console.error(`leaked: ${text.slice(0, 4)}… near ${all.indexOf(text)}`);
console.log(`searched ${all.length} characters for ${searchedTexts().length} texts`);
process.exit(found.length === 0 ? 0 : 1);
