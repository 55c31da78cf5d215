import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { objectIdAt } from "../../../lib/git/object-id.ts";
import { DeltaEncoder } from "../../../lib/git/pack/encode-delta.ts";
import { DEFAULT_PACK_LIMITS } from "../../../lib/git/pack/limits.ts";
import { PackFileProgress } from "../../../lib/indexer/file-pack-source.ts";
import { startIndexThreads } from "../../../lib/indexer/index-threads.ts";
import { resolvePending } from "../../../lib/indexer/resolve-pending.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";
import { noiseBytes, objectIdOf, PackBuilder } from "../../support/pack-builder.ts";

/** Room for four objects. */
const ARENA_BYTES = 4096;

/** The base's parts in another order: written over the base itself, the second part would be copied from the first. */
function turned(base: Uint8Array, at: number): Buffer {
  return Buffer.concat([base.subarray(at), base.subarray(0, at), Buffer.from(`${at}`)]);
}

test("deltas of one base are resolved rightly though together they are larger than the arena", async () => {
  const builder = new PackBuilder();
  const base = noiseBytes(900);
  const versions = Array.from({ length: 40 }, (_, i) => turned(base, 100 + 17 * i));
  for (const version of versions) {
    const delta = new DeltaEncoder().encode(base, version, version.length);
    if (delta === undefined) throw new Error("no delta was found");
    builder.refDelta(objectIdOf("blob", base), delta.slice());
  }
  // Behind its deltas, so that the scan leaves all of them.
  builder.whole("blob", base);
  const pack = builder.bytes();
  await using folder = await temporaryFolder();
  await using file = await open(join(folder.path, "small.pack"), "w+");
  await file.write(pack, 0, pack.length, 0);
  const progress = new PackFileProgress();
  progress.complete(pack.length);
  const options = { fileDescriptor: file.fd, progress: progress.shared, limits: DEFAULT_PACK_LIMITS };
  const threads = startIndexThreads(0, { ...options, arenaBytes: ARENA_BYTES });
  const scan = { startOffsetBytes: 12, stopOffsetBytes: Number.MAX_SAFE_INTEGER } as const;
  const stretches = await Promise.all(
    threads.map((thread) => thread.run("scan", { ...scan, startIsEntry: true })),
  );
  const packInFile = { file, progress, readBase: undefined };
  const { table, entryCount } = await resolvePending(threads, stretches, packInFile, () => {});
  const ids = Array.from({ length: entryCount }, (_, number) => objectIdAt(table.ids, number * 20));
  expect(ids).toEqual([...versions, base].map((content) => objectIdOf("blob", content)));
});
