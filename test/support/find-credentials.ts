/** `npm run find-credentials -- <folder>`: fails if a file there holds a credential of the tests. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { OutputSource } from "./recorded-output.ts";
import { searchedTexts } from "./test-credentials.ts";

/** The search shall not succeed because nothing was kept: of each source something that handles credentials must be there. */
const EXPECTED: Readonly<Record<OutputSource, readonly string[]>> = {
  programs: ['"access:decided"'],
  // The authorizer's, the sync function's and the webhook function's.
  functions: ['"access:decided"', '"sync:published"', '"webhook:'],
};

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: find-credentials.ts <folder>");
const texts = new Map<string, string>();
for (const name of await readdir(folder)) texts.set(name, await readFile(join(folder, name), "utf8"));

for (const [source, events] of Object.entries(EXPECTED)) {
  const written = [...texts]
    .flatMap(([name, text]) => (name.startsWith(`${source}-`) ? [text] : []))
    .join("");
  const missing = events.filter((event) => !written.includes(event));
  if (missing.length > 0) throw new Error(`of ${source} no line was kept with ${missing.join(", ")}`);
}
let searchedCount = 0;
let isClean = true;
for (const [name, text] of texts) {
  searchedCount += text.length;
  for (const secret of searchedTexts().filter((one) => text.includes(one))) {
    isClean = false;
    console.error(`leaked: ${secret.slice(0, 4)}… in ${name} near ${text.indexOf(secret)}`);
  }
}
console.log(`searched ${searchedCount} characters for ${searchedTexts().length} texts`);
process.exit(isClean ? 0 : 1);
