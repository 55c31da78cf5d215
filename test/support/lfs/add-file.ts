/** A file of git-lfs at the fake Bitbucket: its pointer in a commit, its bytes where the fake looks for them. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Primary } from "../primary.ts";

/** @param options.isMissing - The pointer alone. @returns The oid. */
export async function addLfsFile(
  primary: Primary,
  path: string,
  content: Uint8Array,
  { isMissing = false }: { readonly isMissing?: boolean } = {},
): Promise<string> {
  const oid = createHash("sha256").update(content).digest("hex");
  await primary.commit("main", path, lfsPointer(oid, content.length));
  if (isMissing) return oid;
  const file = lfsFileAt(primary, oid);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  return oid;
}

function lfsPointer(oid: string, sizeBytes: number): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${sizeBytes}\n`;
}

function lfsFileAt({ repository }: Primary, oid: string): string {
  return join(repository, "lfs/objects", oid.slice(0, 2), oid.slice(2, 4), oid);
}
