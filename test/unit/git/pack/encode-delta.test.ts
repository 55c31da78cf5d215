import fc from "fast-check";
import { expect, test } from "vitest";
import { applyDelta, decodeDeltaSizes } from "../../../../lib/git/pack/delta.ts";
import { DeltaEncoder } from "../../../../lib/git/pack/encode-delta.ts";

const encoder = new DeltaEncoder();
const ANY_LENGTH = 2 ** 24;

function apply(delta: Uint8Array, base: Uint8Array): Uint8Array {
  const { baseBytes, resultBytes, instructionsIndex } = decodeDeltaSizes(delta, 0, delta.length);
  expect(baseBytes).toBe(base.length);
  const bytes = new Uint8Array(resultBytes);
  applyDelta(
    { bytes: delta, start: instructionsIndex, end: delta.length },
    { bytes: base, start: 0, sizeBytes: base.length },
    { bytes, start: 0, sizeBytes: resultBytes },
  );
  return bytes;
}

/** Few different bytes, so that blocks repeat and hashes meet. */
const bytes = fc.uint8Array({ max: 3, maxLength: 400 });
const pieces = fc.array(fc.tuple(fc.nat(400), fc.nat(200), bytes), { maxLength: 8 });

test("a delta gives the target back, whatever it has in common with its base", () => {
  fc.assert(
    fc.property(bytes, pieces, (base, cuts) => {
      const parts = cuts.flatMap(([start, length, own]) => [base.subarray(start, start + length), own]);
      const target = new Uint8Array(Buffer.concat(parts));
      const delta = encoder.encode(base, target, ANY_LENGTH);
      expect(delta && apply(delta, base)).toEqual(target);
    }),
    { numRuns: 500 },
  );
});

test("of a changed line only the line is new", () => {
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i} of a file\n`);
  const base = Buffer.from(lines.join(""));
  const target = Buffer.from(lines.with(1000, "another line\n").join(""));
  expect(encoder.encode(base, target, ANY_LENGTH)?.length).toBeLessThan(60);
});

test("a copy of more than 64 KiB is written as several", () => {
  const base = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >> 5);
  const delta = encoder.encode(base, base, ANY_LENGTH);
  expect(delta && apply(delta, base)).toEqual(base);
  expect(delta?.length).toBeLessThan(60);
});

test("a delta that would be longer than asked for is none", () => {
  const base = new Uint8Array(1000);
  const target = Uint8Array.from({ length: 1000 }, (_, i) => (i * i * 31) >> 3);
  const whole = encoder.encode(base, target, ANY_LENGTH);
  const lengthBytes = whole?.length ?? 0;
  expect(encoder.encode(base, target, lengthBytes)?.length).toBe(lengthBytes);
  expect(encoder.encode(base, target, lengthBytes - 1)).toBeUndefined();
});
