/** A local file for bytes that are being worked on. */
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder } from "./folder.ts";

export interface UnnamedFile extends AsyncDisposable {
  readonly handle: FileHandle;
}

/**
 * A file that goes with the process, however that ends: it has no name any more.
 * @param parentFolder - Made if it is not there. By default the system's, which may be in memory.
 */
export async function openUnnamedFile(parentFolder = tmpdir()): Promise<UnnamedFile> {
  await makeFolder(parentFolder);
  const folder = await mkdtemp(join(parentFolder, "nearside-"));
  try {
    const handle = await open(join(folder, "unnamed"), "w+");
    return { handle, [Symbol.asyncDispose]: () => handle.close() };
  } finally {
    await rm(folder, { recursive: true });
  }
}
