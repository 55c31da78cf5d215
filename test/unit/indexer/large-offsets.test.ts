import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { encodePackIndex, PackIndex, sortedByObjectId } from "../../../lib/git/pack/index-v2.ts";
import { DEFAULT_PACK_LIMITS } from "../../../lib/git/pack/limits.ts";
import { encodePackHeader } from "../../../lib/git/pack/pack-format.ts";
import { PackFileProgress } from "../../../lib/indexer/file-pack-source.ts";
import { startIndexThreads } from "../../../lib/indexer/index-threads.ts";
import { resolvePending } from "../../../lib/indexer/resolve-pending.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";
import { appendingDelta, noiseBytes, objectIdOf, PackBuilder } from "../../support/pack-builder.ts";

const FOUR_GIB = 2 ** 32;

/** Entries around the 4 GiB mark of a file that is a hole before them: deltas by offset and id, some left pending. */
test("entries on both sides of 4 GiB are found, resolved and indexed", async () => {
  const builder = new PackBuilder();
  const blob = noiseBytes(3000);
  const base = builder.whole("blob", blob);
  const late = objectIdOf("blob", "late");
  const pending = builder.refDelta(late, appendingDelta(4, "r"));
  builder.ofsDelta(pending, appendingDelta(5, "!"));
  builder.whole("blob", "late");
  builder.ofsDelta(base, appendingDelta(blob.length, "!"));
  const pack = builder.bytes();
  const shiftBytes = FOUR_GIB - 2000;

  await using folder = await temporaryFolder();
  await using file = await open(join(folder.path, "sparse.pack"), "w+");
  await file.write(encodePackHeader(5), 0, 12, 0);
  await file.write(pack, 12, pack.length - 12, shiftBytes + 12);
  const progress = new PackFileProgress();
  progress.complete(shiftBytes + pack.length);
  const threads = startIndexThreads(0, {
    fileDescriptor: file.fd,
    progress: progress.shared,
    limits: DEFAULT_PACK_LIMITS,
    arenaBytes: 2 ** 20,
  });
  const scan = { stopOffsetBytes: Number.MAX_SAFE_INTEGER };
  const task = { ...scan, startOffsetBytes: shiftBytes + 12, startIsEntry: true };
  const stretches = await Promise.all(threads.map((thread) => thread.run("scan", task)));
  expect(stretches[0]?.endOffsetBytes).toBe(shiftBytes + pack.length - 20);
  const packInFile = { file, progress, readBase: undefined };
  const { table, entryCount } = await resolvePending(threads, stretches, packInFile, () => {});
  const entries = { objectCount: entryCount, ids: table.ids, offsets: table.offsets, crcs: table.crcs };
  const index = new PackIndex(await encodePackIndex(entries, sortedByObjectId(entries), pack.subarray(-20)));
  const offsetOf = (content: Uint8Array | string) =>
    index.offsetBytes(index.find(objectIdOf("blob", content)));
  expect(offsetOf(blob)).toBe(shiftBytes + base);
  expect(offsetOf("later")).toBe(shiftBytes + pending);
  expect(offsetOf("later")).toBeGreaterThan(FOUR_GIB);
  expect(offsetOf("later!")).toBeGreaterThan(FOUR_GIB);
  expect(offsetOf(Buffer.concat([blob, Buffer.from("!")]))).toBeGreaterThan(FOUR_GIB);
});
