/** What lib/store/blob-store.ts promises, as tests. Every implementation runs them. */
import { describe } from "vitest";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { abortContract } from "./blob-store-aborts.contract.ts";
import { conditionContract } from "./blob-store-conditions.contract.ts";
import { keyContract } from "./blob-store-keys.contract.ts";
import { rangeContract } from "./blob-store-ranges.contract.ts";
import { uploadContract } from "./blob-store-uploads.contract.ts";
import { wholeBlobContract } from "./blob-store-whole.contract.ts";

/** @param openStore - Gives the same store each time; tests keep to folders of their own. */
export function blobStoreContract(openStore: () => BlobStore): void {
  describe("whole blobs", () => wholeBlobContract(openStore));
  describe("conditions", () => conditionContract(openStore));
  describe("ranges", () => rangeContract(openStore));
  describe("aborted reads", () => abortContract(openStore));
  describe("uploads", () => uploadContract(openStore));
  describe("keys", () => keyContract(openStore));
}
