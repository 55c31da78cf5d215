/** What git itself makes of a pack. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { git } from "./run-git.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The bytes of the index that git-index-pack(1) writes. @throws {Error} git refuses the pack. */
export async function gitIndexOf(pack: Uint8Array): Promise<Uint8Array> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "sent.pack");
  await writeFile(path, pack);
  await git(["index-pack", path], { cwd: folder.path });
  return await readFile(join(folder.path, "sent.idx"));
}
