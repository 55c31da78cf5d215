import { once } from "node:events";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CorruptPackError, LimitExceededError } from "../../lib/errors.ts";
import { DEFAULT_PACK_LIMITS } from "../../lib/git/pack/limits.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { receivePack } from "../../lib/sync/receive-pack.ts";
import { chunksOf } from "../support/byte-chunks.ts";
import { gitIndexOf } from "../support/git/git-index.ts";
import { gitBytes } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { hostilePacks } from "../support/hostile-packs.ts";
import { indexBytes } from "../support/indexed-bytes.ts";
import { appendingDelta, noiseBytes, objectIdOf, PackBuilder, withTrailer } from "../support/pack-builder.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";

const KEYS = repositoryKeys("00000000-0000-4000-8000-000000000000");
const { TMPDIR = "/tmp" } = process.env;

let folder: TemporaryFolder;
let storeFolder: string;
let temporaryFiles: string;
const workers: Worker[] = [];
const rememberWorker = (worker: Worker): unknown => workers.push(worker);

beforeAll(async () => {
  folder = await temporaryFolder();
  storeFolder = join(folder.path, "store");
  temporaryFiles = join(folder.path, "tmp");
  await mkdir(temporaryFiles);
  process.env["TMPDIR"] = temporaryFiles;
  process.on("worker", rememberWorker);
});

afterAll(async () => {
  process.off("worker", rememberWorker);
  process.env["TMPDIR"] = TMPDIR;
  await folder.remove();
});

beforeEach(() => {
  workers.length = 0;
});

async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return await attempt.then(
    () => "no failure",
    (error: unknown) => error,
  );
}

function expectTyped(failure: unknown, message = /./): void {
  expect(failure).toBeInstanceOf(Error);
  expect(failure instanceof CorruptPackError || failure instanceof LimitExceededError, String(failure)).toBe(
    true,
  );
  expect((failure as Error).message).toMatch(message);
}

/** All threads have ended when the failure is thrown. */
function expectNoThreads(): void {
  expect(workers.map(({ threadId }) => threadId).filter((id) => id >= 0)).toEqual([]);
}

async function failToReceive(store: BlobStore, pack: Uint8Array, cuts: readonly number[]): Promise<unknown> {
  const received = receivePack({
    store,
    keys: KEYS,
    chunks: chunksOf(pack, cuts),
    readBase: async () => undefined,
    maxPackBytes: 2 ** 30,
    onBytes() {},
    onIndex() {},
  });
  const failure = await failureOf(received);
  for await (const { key } of store.list("")) expect(key).toBe("nothing");
  return failure;
}

describe.each(hostilePacks())("$name", ({ pack, message }) => {
  test.each([0, 2])("is a typed error over %d threads", async (threadCount) => {
    expectTyped(await failureOf(indexBytes(pack, { threadCount, stretchBytes: 40 })), message);
    expectNoThreads();
    expect(workers.length === threadCount || workers.length === 0).toBe(true);
  });

  test("leaves nothing in a store, nor on the disk", async () => {
    expectTyped(await failToReceive(new MemoryBlobStore(), pack, [1, 9, 15, 40]), message);
    expectTyped(await failToReceive(new FsBlobStore(storeFolder), pack, []), message);
    expect(await filesBelow(storeFolder)).toEqual([]);
    expect(await readdir(temporaryFiles)).toEqual([]);
  });
});

describe("a pack of the sample repository", () => {
  let sound: Uint8Array;

  beforeAll(async () => {
    const repository = join(folder.path, "sample.git");
    await makeSampleRepository(repository, { commitCount: 5 });
    const args = ["pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset"];
    const input = "main\n^main~3\n";
    sound = await gitBytes(args, { cwd: repository, input });
  });

  const cutsOf = ({ length }: Uint8Array): number[] =>
    Array.from({ length: 50 }, (_, i) => Math.floor((i * length) / 50));

  test("truncated anywhere is a typed error, and nothing stays behind", async () => {
    for (const end of cutsOf(sound)) {
      const store = new MemoryBlobStore();
      expectTyped(await failToReceive(store, sound.subarray(0, end), [end - 3, end - 30]));
    }
    expect(await readdir(temporaryFiles)).toEqual([]);
  });

  test("truncated with a new trailer is a typed error", async () => {
    for (const end of cutsOf(sound).slice(1)) {
      expectTyped(await failureOf(indexBytes(withTrailer(sound.subarray(0, end + 20)))));
    }
  });

  const flipped = (bit: number): Uint8Array => {
    const changed = Uint8Array.from(sound);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return changed;
  };

  test("with any bit flipped is a typed error", async () => {
    for (let bit = 0; bit < sound.length * 8; bit += 97) {
      expectTyped(await failureOf(indexBytes(flipped(bit))));
    }
  });

  test("with any bit flipped and a new trailer is a typed error, or what git makes of it", async () => {
    let accepted = 0;
    for (let bit = 0; bit < sound.length * 8; bit += 97) {
      const pack = withTrailer(flipped(bit));
      const outcome = await indexBytes(pack).catch((error: unknown) => error);
      if (outcome instanceof Error) expectTyped(outcome);
      else {
        const { index } = outcome as Awaited<ReturnType<typeof indexBytes>>;
        expect(Buffer.compare(index, await gitIndexOf(pack))).toBe(0);
        accepted++;
      }
    }
    expect(accepted).toBeLessThan(10);
  });
});

describe("limits", () => {
  test.each([0, 2])("a delta chain longer than allowed, over %d threads", async (threadCount) => {
    for (const byId of [false, true]) {
      const builder = new PackBuilder();
      let offset = builder.whole("blob", "x");
      let content = "x";
      for (let depth = 1; depth <= 11; depth++) {
        const delta = appendingDelta(content.length, "x");
        offset = byId
          ? builder.refDelta(objectIdOf("blob", content), delta)
          : builder.ofsDelta(offset, delta);
        content += "x";
      }
      const pack = builder.bytes();
      const limits = { ...DEFAULT_PACK_LIMITS, maxDeltaDepth: 10 };
      expectTyped(await failureOf(indexBytes(pack, { limits, threadCount })), /chain is longer than 10/);
      await indexBytes(pack, { limits: { ...limits, maxDeltaDepth: 11 }, threadCount });
    }
    expectNoThreads();
  });

  test.each([0, 2])("deltas that make much out of little, over %d threads", async (threadCount) => {
    const builder = new PackBuilder();
    const base = builder.whole("blob", new Uint8Array(2 ** 20));
    // Copies the base 16 times: 16 MiB out of some 100 bytes.
    const copies = Array.from({ length: 16 }, () => Uint8Array.of(0xc0, 0x10));
    for (let i = 0; i < 100; i++) {
      const delta = Buffer.concat([
        Uint8Array.of(0x80, 0x80, 0x40),
        Uint8Array.of(0x80, 0x80, 0x80, 0x08),
        ...copies,
      ]);
      builder.ofsDelta(base, delta);
    }
    const pack = builder.bytes();
    expect(pack.length).toBeLessThan(10_000);
    const tooMuch = { ...DEFAULT_PACK_LIMITS, maxTotalInflatedBytes: 2 ** 26 };
    expectTyped(await failureOf(indexBytes(pack, { limits: tooMuch, threadCount })), /inflates to more than/);
    const tooLarge = { ...DEFAULT_PACK_LIMITS, maxDeltifiedBytes: 2 ** 23 };
    expectTyped(
      await failureOf(indexBytes(pack, { limits: tooLarge, threadCount })),
      /more than 8388608 bytes/,
    );
    expectNoThreads();
  });

  test("a delta base that is too large to hold", async () => {
    const builder = new PackBuilder();
    const content = noiseBytes(5 * 2 ** 20);
    builder.ofsDelta(builder.whole("blob", content), appendingDelta(content.length, "x"));
    const limits = { ...DEFAULT_PACK_LIMITS, maxDeltifiedBytes: 2 ** 20 };
    expectTyped(await failureOf(indexBytes(builder.bytes(), { limits })), /delta base of more than/);
  });
});

test("a failure while other threads wait for more bytes ends them all", async () => {
  const builder = new PackBuilder();
  for (let i = 0; i < 10; i++) builder.whole("blob", noiseBytes(300_000, i));
  const pack = builder.bytes();
  pack[20] = (pack[20] ?? 0) ^ 0xff;
  const indexing = indexBytes(pack, { threadCount: 3, stretchBytes: 2 ** 20 }, [2 ** 19]);
  expectTyped(await failureOf(indexing));
  expect(workers.length).toBe(3);
  expectNoThreads();
});

test("a thread that is not ended is noticed", async () => {
  const { Worker: NodeWorker } = await import("node:worker_threads");
  const worker = new NodeWorker("setInterval(() => {}, 1000)", { eval: true });
  await once(worker, "online");
  expect(expectNoThreads).toThrow();
  await worker.terminate();
  expectNoThreads();
});
