/** Preparing answers is a favour: it fails no sync, and leaves nothing old behind. */
import { beforeEach, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { AnswerSharing } from "../../../lib/repo/answers/answer-sharing.ts";
import { publish } from "../../../lib/repo/publish.ts";
import { NO_DOCUMENT } from "../../../lib/repo/stored-document.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { prepareRepository } from "../../../lib/sync/prepare-repository.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const failing = () => {
  throw new Error("the store is away");
};
const store = new MemoryBlobStore({ faults: { before: failing } });
const storage = { store, blocks: new BlockCache(store), answers: new AnswerSharing({ store }) };
let warnings: [string, unknown][];
const log = { ...SILENT_LOGGER, warn: (event: string, fields = {}) => void warnings.push([event, fields]) };

beforeEach(() => {
  warnings = [];
});

test("a failure is logged, and is none of the sync", async () => {
  await prepareRepository(UUID, { storage, log });
  expect(warnings).toEqual([
    ["answers:not-prepared", expect.objectContaining({ uuid: UUID, message: "the store is away" })],
  ]);
});

test("a small repository is swept at least every eight generations, also where each second one is a compaction", async () => {
  const counting = new CountingBlobStore(new MemoryBlobStore());
  const small = {
    ...{ store: counting, blocks: new BlockCache(counting) },
    answers: new AnswerSharing({ store: counting }),
  };
  let previous: Parameters<typeof publish>[2] = NO_DOCUMENT;
  const publishNext = async () => {
    const now = new Date();
    const content = { head: { ref: "refs/heads/main" }, refs: [], packs: [], mayHoldUnreachable: false };
    previous = await publish(counting, UUID, previous, { ...content, publishedAt: now, verifiedAt: now });
  };
  for (const isSecondPrepared of [false, true]) {
    counting.reset();
    if (isSecondPrepared) await publishNext();
    for (let round = 0; round < 8; round++) {
      await publishNext();
      await prepareRepository(UUID, { storage: small, log });
      await publishNext();
    }
    expect(counting.counts().list).toBe(2);
  }
  expect(warnings).toEqual([]);
});

test("when the time is up it ends without a word", async () => {
  await prepareRepository(UUID, { storage, log, signal: AbortSignal.abort() });
  expect(warnings).toEqual([]);
});

test("where answers are not shared, the recent objects alone are written, if there are any", async () => {
  const counting = new CountingBlobStore(new MemoryBlobStore());
  const without = { store: counting, blocks: new BlockCache(counting) };
  const now = new Date();
  await publish(counting, UUID, NO_DOCUMENT, {
    ...{ head: { ref: "refs/heads/main" }, refs: [], packs: [], mayHoldUnreachable: false },
    ...{ publishedAt: now, verifiedAt: now },
  });
  counting.reset();
  await prepareRepository(UUID, { storage: without, log });
  expect(counting.counts()).toMatchObject({ requests: 2, write: 0 });
  expect(warnings).toEqual([]);
});
