import { expect, test, vi } from "vitest";
import { StoppedError } from "../../../lib/errors.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { type ReceivePackOptions, receivePack } from "../../../lib/sync/receive-pack.ts";
import { chunksOf } from "../../support/byte-chunks.ts";
import { appendingDelta, noiseBytes, objectIdOf, PackBuilder } from "../../support/pack-builder.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

vi.setConfig({ testTimeout: 60_000 });

function receive(
  store: MemoryBlobStore,
  chunks: AsyncIterable<Uint8Array>,
  options: Partial<ReceivePackOptions>,
): ReturnType<typeof receivePack> {
  return receivePack({
    store,
    keys: repositoryKeys("00000000-0000-4000-8000-000000000000"),
    chunks,
    readBase: async () => undefined,
    maxPackBytes: 2 ** 30,
    onBytes() {},
    onIndex() {},
    ...options,
  });
}

async function expectNothingLeft(store: MemoryBlobStore): Promise<void> {
  for await (const { key } of store.list("")) expect.fail(`${key} is left`);
}

/** Large enough for threads; the last object is a delta. */
function largePack(): Uint8Array {
  const builder = new PackBuilder();
  for (let i = 0; i < 7; i++) builder.whole("blob", noiseBytes(400_000, i));
  builder.refDelta(objectIdOf("blob", noiseBytes(400_000, 1)), appendingDelta(400_000, "more"));
  return builder.bytes();
}

/** A pack that is on its way, and then is not. */
async function* silentAfter(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
  await new Promise(() => {});
}

test.each([0, 10, 100_000, 2_500_000])(
  "aborted in the silence after %d bytes it leaves nothing",
  async (count) => {
    const store = new MemoryBlobStore();
    const controller = new AbortController();
    const attempt = receive(store, silentAfter(largePack().subarray(0, count)), {
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(), 100);
    await expect(attempt).rejects.toBeInstanceOf(StoppedError);
    await expectNothingLeft(store);
  },
);

test.each(["scanning", "resolving", "reading-history"] as const)(
  "aborted while %s it leaves nothing",
  async (at) => {
    const store = new MemoryBlobStore();
    const controller = new AbortController();
    const attempt = receive(store, chunksOf(largePack(), []), {
      signal: controller.signal,
      onIndex: ({ phase }) => {
        if (phase === at) controller.abort();
      },
    });
    await expect(attempt).rejects.toBeInstanceOf(StoppedError);
    await expectNothingLeft(store);
  },
);

test("aborted before it begins, it asks for nothing", async () => {
  const controller = new AbortController();
  controller.abort();
  let asked = false;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    asked = true;
    yield largePack();
  }
  const store = new MemoryBlobStore();
  await expect(receive(store, chunks(), { signal: controller.signal })).rejects.toBeInstanceOf(StoppedError);
  expect(asked).toBe(false);
  await expectNothingLeft(store);
});
