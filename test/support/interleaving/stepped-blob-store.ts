/** A blob store as one actor sees it: each call waits for its turn. */
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { WaitingBlobStore } from "../store/waiting-blob-store.ts";
import type { Step } from "./scheduler.ts";

export class SteppedBlobStore extends WaitingBlobStore {
  readonly #clockAheadMs: number;

  /** @param clockAheadMs - How far the actor's clock is ahead of the store's. */
  constructor(store: BlobStore, step: Step, clockAheadMs = 0) {
    super(store, () => step());
    this.#clockAheadMs = clockAheadMs;
  }

  override removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    return super.removeUnfinishedUploads(prefix, startedBeforeMs - this.#clockAheadMs);
  }
}
