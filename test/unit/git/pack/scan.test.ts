import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { LimitExceededError } from "../../../../lib/errors.ts";
import { objectIdAt } from "../../../../lib/git/object-id.ts";
import { findEntryBoundary } from "../../../../lib/git/pack/entry-boundary.ts";
import type { ScannedEntries } from "../../../../lib/git/pack/entry-columns.ts";
import { EntryInflater } from "../../../../lib/git/pack/inflate.ts";
import { DEFAULT_PACK_LIMITS, type PackLimits } from "../../../../lib/git/pack/limits.ts";
import { ObjectArena } from "../../../../lib/git/pack/object-arena.ts";
import { ObjectIdSet } from "../../../../lib/git/pack/object-id-set.ts";
import { BytesPackSource, type PackSource } from "../../../../lib/git/pack/pack-source.ts";
import { PackScanner } from "../../../../lib/git/pack/scan.ts";
import { ChoppedPackSource } from "../../../support/chopped-pack-source.ts";
import {
  appendingDelta,
  commitText,
  noiseBytes,
  objectIdOf,
  PackBuilder,
  treeBytes,
} from "../../../support/pack-builder.ts";

// Many runs each, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

interface Scan {
  readonly arenaBytes?: number;
  readonly limits?: PackLimits;
  readonly from?: number;
  readonly to?: number;
}

function scan(
  source: PackSource,
  { arenaBytes = 2 ** 20, limits = DEFAULT_PACK_LIMITS, from = 12, to = Number.POSITIVE_INFINITY }: Scan = {},
): { readonly entries: ScannedEntries; readonly links: string[] } {
  const links = new ObjectIdSet();
  const scanner = new PackScanner({
    limits,
    arena: new ObjectArena(arenaBytes),
    links,
    inflater: new EntryInflater(),
  });
  const entries = scanner.scan(source, from, to);
  const { ids, flags } = links.select(() => true);
  const named = Array.from(flags, (flag, i) => `${objectIdAt(ids, i * 20)} ${flag}`);
  return { entries, links: named.toSorted() };
}

const idsOf = ({ ids, count }: ScannedEntries): string[] =>
  Array.from({ length: count }, (_, i) => objectIdAt(ids, i * 20));

/** One of everything: whole objects, deltas by offset and by id, chains, a large blob, a tag, deltas before their base. */
function samplePack(): { readonly pack: Uint8Array; readonly offsets: number[] } {
  const builder = new PackBuilder();
  const blob = "the first text, long enough to copy from\n".repeat(20);
  const tree = treeBytes([
    { mode: "100644", name: "a", id: objectIdOf("blob", blob) },
    { mode: "40000", name: "b", id: objectIdOf("tree", "") },
    { mode: "160000", name: "c", id: objectIdOf("commit", "elsewhere") },
  ]);
  const commit = commitText(objectIdOf("tree", tree));
  const tag = `object ${objectIdOf("commit", commit)}\ntype commit\ntag v1\n\n`;
  const extra = treeBytes([{ mode: "100644", name: "d", id: objectIdOf("blob", "d") }]);
  const offsets = [builder.whole("blob", blob)];
  offsets.push(builder.refDelta(objectIdOf("tree", "not here"), appendingDelta(3, "abc")));
  offsets.push(builder.ofsDelta(offsets[0] ?? 0, appendingDelta(Buffer.byteLength(blob), "one more line\n")));
  offsets.push(builder.ofsDelta(offsets[2] ?? 0, appendingDelta(Buffer.byteLength(blob) + 14, "and one\n")));
  offsets.push(builder.whole("tree", tree));
  offsets.push(builder.ofsDelta(offsets[4] ?? 0, appendingDelta(tree.length, extra)));
  offsets.push(builder.whole("commit", commit));
  offsets.push(builder.whole("tag", tag));
  offsets.push(builder.whole("blob", noiseBytes(5000)));
  offsets.push(builder.whole("blob", ""));
  offsets.push(builder.ofsDelta(offsets[1] ?? 0, appendingDelta(6, "def")));
  return { pack: builder.bytes(), offsets };
}

test("a scan gives the same entries wherever the windows are cut", () => {
  const { pack, offsets } = samplePack();
  const whole = scan(new BytesPackSource(pack));
  expect(Array.from(whole.entries.offsets)).toEqual(offsets);
  expect(whole.entries.endOffsetBytes).toBe(pack.length - 20);
  expect(Array.from(whole.entries.depths)).toEqual([0, 0, 1, 2, 0, 1, 0, 0, 0, 0, 0]);
  expect(Array.from(whole.entries.pending.numbers)).toEqual([1, 10]);
  expect(Array.from(whole.entries.pending.baseOffsets)).toEqual([-1, offsets[1]]);
  const windows = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.oneof(windows, fc.constant([1])), (lengths) => {
      expect(scan(new ChoppedPackSource(pack, lengths))).toEqual(whole);
    }),
  );
});

test("with little memory, deltas are left pending but nothing else changes", () => {
  const { pack } = samplePack();
  const whole = scan(new BytesPackSource(pack)).entries;
  // At most 256 bytes an object here: the 5,000 bytes of the blob are hashed in pieces.
  const { entries } = scan(new BytesPackSource(pack), { arenaBytes: 1024 });
  expect(entries.pending.numbers.length).toBeGreaterThan(2);
  expect(Array.from(entries.offsets)).toEqual(Array.from(whole.offsets));
  expect(Array.from(entries.crcs)).toEqual(Array.from(whole.crcs));
  const pending = new Set(entries.pending.numbers);
  idsOf(entries).forEach((id, number) => {
    expect(id).toBe(pending.has(number) ? "0".repeat(40) : idsOf(whole)[number]);
  });
});

test("two scans that share the pack find together what one finds", () => {
  const { pack, offsets } = samplePack();
  const source = new BytesPackSource(pack);
  const whole = scan(source);
  for (const middle of offsets) {
    const before = scan(source, { to: middle });
    const after = scan(source, { from: middle });
    expect(before.entries.endOffsetBytes).toBe(middle);
    expect(before.entries.count + after.entries.count).toBe(offsets.length);
    expect([...before.entries.offsets, ...after.entries.offsets]).toEqual(offsets);
    for (const { entries } of [before, after]) {
      for (const [i, id] of idsOf(entries).entries()) {
        const number = offsets.indexOf(entries.offsets[i] ?? -1);
        if (!/^0+$/.test(id)) expect(id).toBe(idsOf(whole.entries)[number]);
      }
    }
  }
});

test("the boundary found is an entry's beginning, from any place before the last entry", () => {
  const { pack, offsets } = samplePack();
  const source = new ChoppedPackSource(pack, [50]);
  for (let from = 12; from < pack.length - 20; from += 7) {
    const found = findEntryBoundary(source, from, pack.length - 20, new EntryInflater());
    const next = offsets.find((offset) => offset >= from) ?? pack.length - 20;
    expect(found).toBe(next);
  }
});

test("a boundary search ends at its limit, and at the pack's end", () => {
  const pack = new PackBuilder();
  pack.whole("blob", noiseBytes(50_000));
  const source = new BytesPackSource(pack.bytes());
  expect(findEntryBoundary(source, 100, 40_000, new EntryInflater())).toBe(40_000);
  expect(findEntryBoundary(source, 100, 2 ** 24, new EntryInflater())).toBe(2 ** 24);
});

test("objects that come again and again keep their ids while the arena turns over", () => {
  const builder = new PackBuilder();
  const expected: string[] = [];
  for (let i = 0; i < 300; i++) {
    const content = noiseBytes((i * 37) % 250, i);
    builder.whole("blob", content);
    const hash = createHash("sha1").update(`blob ${content.length}\0`).update(content);
    expected.push(hash.digest("hex"));
  }
  const { entries } = scan(new BytesPackSource(builder.bytes()), { arenaBytes: 1024 });
  expect(idsOf(entries)).toEqual(expected);
});

test.each([
  ["maxObjectBytes", { maxObjectBytes: 800 }, /more than 800 bytes/],
  ["maxDeltifiedBytes", { maxDeltifiedBytes: 20 }, /more than 20 bytes/],
  ["maxDeltaDepth", { maxDeltaDepth: 1 }, /longer than 1/],
  ["maxTotalInflatedBytes", { maxTotalInflatedBytes: 2000 }, /inflates to more than 2000 bytes/],
])("a scan stops at %s", (_, limits, message) => {
  const { pack } = samplePack();
  const attempt = () => scan(new BytesPackSource(pack), { limits: { ...DEFAULT_PACK_LIMITS, ...limits } });
  expect(attempt).toThrow(LimitExceededError);
  expect(attempt).toThrow(message);
});
