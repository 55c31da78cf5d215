/** Lets every request to a store wait first: what a store in the network costs. */
import { setTimeout } from "node:timers/promises";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { orAborted } from "../../lib/store/shared-read.ts";
import { WaitingBlobStore } from "../support/store/waiting-blob-store.ts";

export class DelayedBlobStore extends WaitingBlobStore {
  /** @param delayMs - Of each request. */
  constructor(store: BlobStore, delayMs: number) {
    super(store, ({ signal } = {}) => orAborted(setTimeout(delayMs), signal));
  }
}
