import { expect, test } from "vitest";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { deletePack } from "../../../lib/repo/pack-blobs.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

test("a pack is deleted with its index and all its sidecars", async () => {
  const store = new MemoryBlobStore();
  const keys = repositoryKeys(RIG_UUID);
  const id = "1".repeat(40);
  for (const keyOf of [keys.pack, keys.packIndex, keys.packHistory, keys.packLfs, keys.packNewest])
    await store.write(keyOf(id), Uint8Array.of(1));
  await deletePack(store, keys, id);
  expect(await Array.fromAsync(store.list(keys.prefix))).toEqual([]);
});
