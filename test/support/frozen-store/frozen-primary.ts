/** The primary of the frozen store: the same ids each time it is made. */
import { fileURLToPath } from "node:url";
import { type Primary, startPrimary } from "../primary.ts";

export const FROZEN_STORE_FOLDER = fileURLToPath(new URL("../../fixtures/store/", import.meta.url));

const POINTER = [
  "version https://git-lfs.github.com/spec/v1",
  `oid sha256:${"1f".repeat(32)}`,
  "size 12345",
  "",
].join("\n");

/** As it was before the first sync. */
export async function startFrozenPrimary(): Promise<Primary> {
  const primary = await startPrimary();
  await primary.commit("main", "large.bin", POINTER);
  return primary;
}
