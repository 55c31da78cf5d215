import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CorruptPackError, LimitExceededError, UpstreamError } from "../../../lib/errors.ts";
import type { IndexProgress } from "../../../lib/indexer/index-pack.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { FsBlobStore } from "../../../lib/store/fs-blob-store.ts";
import { type ReceivePackOptions, receivePack } from "../../../lib/sync/receive-pack.ts";
import { chunksOf, cutPoints } from "../../support/byte-chunks.ts";
import { gitIndexOf } from "../../support/git/git-index.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { appendingDelta, noiseBytes, objectIdOf, PackBuilder } from "../../support/pack-builder.ts";
import { SimulatedStoreError } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

vi.setConfig({ testTimeout: 60_000 });

const KEYS = repositoryKeys("00000000-0000-4000-8000-000000000000");
const { TMPDIR = "/tmp" } = process.env;

let folder: TemporaryFolder;
let temporaryFiles: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  temporaryFiles = join(folder.path, "tmp");
  await mkdir(temporaryFiles);
  process.env["TMPDIR"] = temporaryFiles;
});

afterAll(async () => {
  process.env["TMPDIR"] = TMPDIR;
  await folder.remove();
});

function receive(
  store: BlobStore,
  chunks: AsyncIterable<Uint8Array>,
  options: Partial<ReceivePackOptions> = {},
): ReturnType<typeof receivePack> {
  return receivePack({
    store,
    keys: KEYS,
    chunks,
    readBase: async () => undefined,
    maxPackBytes: 2 ** 30,
    onBytes() {},
    onIndex() {},
    ...options,
  });
}

async function keysIn(store: BlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}

async function expectNothingLeft(store: BlobStore): Promise<void> {
  expect(await keysIn(store)).toEqual([]);
  expect(await readdir(temporaryFiles)).toEqual([]);
}

/** More than two batches, so that there is a middle. */
function largePack(): Uint8Array {
  const builder = new PackBuilder();
  for (let i = 0; i < 7; i++) builder.whole("blob", noiseBytes(400_000, i));
  return builder.bytes();
}

function thinPack(): { readonly sent: Uint8Array; readonly base: Uint8Array } {
  const base = noiseBytes(1_500_000, 9);
  const builder = new PackBuilder();
  builder.whole("blob", "whole");
  builder.refDelta(objectIdOf("blob", base), appendingDelta(base.length, "more"));
  return { sent: builder.bytes(), base };
}

describe.each([
  ["memory", () => new MemoryBlobStore()],
  ["a folder", () => new FsBlobStore(join(folder.path, `store-${crypto.randomUUID()}`))],
])("over a store in %s", (_, open) => {
  test("a pack in chunks of any size is stored as it came", async () => {
    const builder = new PackBuilder();
    for (let i = 0; i < 20; i++) builder.whole("blob", noiseBytes(50 * i, i));
    const sent = builder.bytes();
    const expectedIndex = await gitIndexOf(sent);
    await fc.assert(
      fc.asyncProperty(cutPoints(), async (cuts) => {
        const store = open();
        const { pack, indexed } = await receive(store, chunksOf(sent, cuts));
        expect(await keysIn(store)).toEqual([KEYS.pack(pack.id)]);
        expect(Buffer.compare((await store.read(KEYS.pack(pack.id))).bytes, sent)).toBe(0);
        expect(Buffer.compare(indexed.index, expectedIndex)).toBe(0);
        expect(pack).toMatchObject({
          packBytes: sent.length,
          indexBytes: expectedIndex.length,
          objectCount: 20,
          sentObjectCount: 20,
          sentEndBytes: sent.length - 20,
          repeatedObjectCount: 0,
        });
      }),
      { numRuns: 15 },
    );
    expect(await readdir(temporaryFiles)).toEqual([]);
  });

  test.each([1000, 300_000, 2 ** 23])("a large pack in chunks of %d bytes", async (chunkBytes) => {
    const sent = largePack();
    const store = open();
    const cuts = Array.from({ length: Math.ceil(sent.length / chunkBytes) }, (_, i) => i * chunkBytes);
    const received: number[] = [];
    const phases = new Set<IndexProgress["phase"]>();
    const { pack } = await receive(store, chunksOf(sent, cuts), {
      onBytes: (bytes) => void received.push(bytes),
      onIndex: ({ phase }) => void phases.add(phase),
    });
    expect(Buffer.compare((await store.read(KEYS.pack(pack.id))).bytes, sent)).toBe(0);
    expect(received).toEqual(received.toSorted((a, b) => a - b));
    expect(received.at(-1)).toBe(sent.length);
    expect(phases).toContain("scanning");
  });

  test("a thin pack is stored complete, bases of more than a batch included", async () => {
    const { sent, base } = thinPack();
    const store = open();
    const { pack, indexed } = await receive(store, chunksOf(sent, [1, 30]), {
      readBase: async (id) => {
        expect(id).toBe(objectIdOf("blob", base));
        return { type: "blob", bytes: base };
      },
    });
    const stored = (await store.read(KEYS.pack(pack.id))).bytes;
    expect(Buffer.compare(indexed.index, await gitIndexOf(stored))).toBe(0);
    expect(pack).toMatchObject({ objectCount: 3, sentObjectCount: 2, packBytes: stored.length });
    expect(Buffer.compare(stored.subarray(12, pack.sentEndBytes), sent.subarray(12, -20))).toBe(0);
  });

  test("a stream that breaks leaves nothing, and its error is the one thrown", async () => {
    const sent = largePack();
    const failure = new UpstreamError("the connection was reset", { retryable: true });
    for (const endBytes of [0, 5, 1000, 2 ** 20 + 1, sent.length]) {
      async function* breaking(): AsyncGenerator<Uint8Array> {
        if (endBytes > 0) yield sent.subarray(0, endBytes);
        throw failure;
      }
      const store = open();
      await expect(receive(store, breaking())).rejects.toBe(failure);
      await expectNothingLeft(store);
    }
  });

  test.each([
    ["in one batch", 20],
    ["in several", 400_000],
  ])("a pack of exactly the limit is taken, one of a byte more is not: %s", async (_, blobBytes) => {
    const builder = new PackBuilder();
    for (let i = 0; i < 5; i++) builder.whole("blob", noiseBytes(blobBytes, i));
    const sent = builder.bytes();
    const { pack } = await receive(open(), chunksOf(sent, []), { maxPackBytes: sent.length });
    expect(pack.packBytes).toBe(sent.length);
    const cuts = Array.from({ length: 40 }, (__, i) => i * 50_000);
    for (const chunks of [chunksOf(sent, []), chunksOf(sent, cuts)]) {
      const store = open();
      const attempt = receive(store, chunks, { maxPackBytes: sent.length - 1 });
      await expect(attempt).rejects.toThrow(LimitExceededError);
      await expectNothingLeft(store);
    }
  });

  test("a pack above the limit is given up, and its stream closed", async () => {
    const sent = largePack();
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        yield sent;
        for (;;) yield new Uint8Array(2 ** 20);
      } finally {
        closed = true;
      }
    }
    const store = open();
    const attempt = receive(store, endless(), { maxPackBytes: 2 ** 23 });
    await expect(attempt).rejects.toThrow(LimitExceededError);
    expect(closed).toBe(true);
    await expectNothingLeft(store);
  });

  test("a broken pack is given up before it has all come, and its stream closed", async () => {
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        yield Buffer.concat([Buffer.from("PACK\0\0\0\x02\0\0\0\x01"), Buffer.from([0x55])]);
        for (;;) {
          // Indexing needs the event loop to get its turn.
          await new Promise((resolve) => setImmediate(resolve));
          yield deflateSync(noiseBytes(100_000));
        }
      } finally {
        closed = true;
      }
    }
    const store = open();
    await expect(receive(store, endless())).rejects.toThrow(CorruptPackError);
    expect(closed).toBe(true);
    await expectNothingLeft(store);
  });

  test("a base that cannot be read leaves nothing", async () => {
    const store = open();
    const failure = new Error("the store is away");
    const readBase = () => Promise.reject(failure);
    await expect(receive(store, chunksOf(thinPack().sent, []), { readBase })).rejects.toBe(failure);
    await expectNothingLeft(store);
  });
});

test("a pack is in the given folder while it comes, and under no name", async () => {
  const incoming = join(folder.path, "a store", "incoming");
  async function* chunks(): AsyncGenerator<Uint8Array> {
    expect(await readdir(incoming)).toEqual([]);
    yield largePack();
  }
  process.env["TMPDIR"] = join(folder.path, "not there");
  try {
    await receive(new MemoryBlobStore(), chunks(), { temporaryFolder: incoming });
    expect(await readdir(folder.path)).not.toContain("not there");
  } finally {
    process.env["TMPDIR"] = temporaryFiles;
  }
});

describe("a store that fails", () => {
  const failingAt = (failingCall: number) => {
    let calls = 0;
    return new MemoryBlobStore({
      faults: {
        before: ({ kind }) => {
          if (kind !== "list" && calls++ === failingCall)
            throw new SimulatedStoreError(`call ${failingCall}`);
          return undefined;
        },
      },
    });
  };

  test("at any of an upload's calls leaves nothing, and its error is the one thrown", async () => {
    const { sent, base } = thinPack();
    const readBase = async () => ({ type: "blob", bytes: base }) as const;
    let failures = 0;
    for (let failingCall = 0; ; failingCall++) {
      const store = failingAt(failingCall);
      const outcome = await receive(store, chunksOf(sent, [50]), { readBase }).catch(
        (error: unknown) => error,
      );
      if (!(outcome instanceof Error)) break;
      failures++;
      expect(outcome).toBeInstanceOf(SimulatedStoreError);
      await expectNothingLeft(store);
    }
    // Start, the body, three pieces of the tail or more, completion.
    expect(failures).toBeGreaterThanOrEqual(5);
  });

  test("in the middle of a large pack closes the stream", async () => {
    const sent = largePack();
    let closed = false;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        for (let at = 0; at < sent.length; at += 2 ** 18) yield sent.subarray(at, at + 2 ** 18);
      } finally {
        closed = true;
      }
    }
    await expect(receive(failingAt(2), chunks())).rejects.toThrow(SimulatedStoreError);
    expect(closed).toBe(true);
  });

  test("also in giving up does not hide what went wrong", async () => {
    const memory = new MemoryBlobStore();
    const store: BlobStore = Object.assign(Object.create(memory) as BlobStore, {
      startUpload: async () => ({
        write: async () => {},
        complete: async () => "v1",
        abort: () => Promise.reject(new Error("cannot abort")),
      }),
    });
    await expect(receive(store, chunksOf(Buffer.from("no pack at all"), []))).rejects.toThrow(
      CorruptPackError,
    );
  });
});
