import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { MemoryBlobStore } from "../../lib/store/memory-blob-store.ts";
import { blobStoreContract } from "./blob-store.contract.ts";

describe("memory", () => {
  const store = new MemoryBlobStore();
  blobStoreContract(() => store);
});

describe("folder", () => {
  let folder: string;
  let store: FsBlobStore;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nearside-contract-"));
    store = new FsBlobStore(folder);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  blobStoreContract(() => store);
});
