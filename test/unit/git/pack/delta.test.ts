import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { CorruptPackError } from "../../../../lib/errors.ts";
import { applyDelta, DeltaCopies, decodeDeltaSizes } from "../../../../lib/git/pack/delta.ts";
import {
  copyInstruction,
  deltaOf,
  encodeDeltaSize,
  insertInstructions,
} from "../../../support/pack-builder.ts";

// Many runs each, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

type Instruction =
  | { readonly kind: "copy"; readonly start: number; readonly length: number }
  | { readonly kind: "insert"; readonly bytes: Uint8Array };

const BASE_BYTES = 70_000;
const base = Uint8Array.from({ length: BASE_BYTES }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

const instructionLists = fc.array(
  fc.oneof(
    fc
      .tuple(fc.nat(BASE_BYTES - 1), fc.integer({ min: 1, max: BASE_BYTES }))
      .map(([start, length]): Instruction => {
        return { kind: "copy", start, length: Math.min(length, BASE_BYTES - start) };
      }),
    fc.uint8Array({ minLength: 1, maxLength: 127 }).map((bytes): Instruction => ({ kind: "insert", bytes })),
  ),
  { maxLength: 20 },
);

const encode = (instruction: Instruction): Uint8Array =>
  instruction.kind === "copy"
    ? copyInstruction(instruction.start, instruction.length === 0x10000 ? 0 : instruction.length)
    : insertInstructions(instruction.bytes);

const bytesOf = (instruction: Instruction): Uint8Array =>
  instruction.kind === "copy"
    ? base.subarray(instruction.start, instruction.start + instruction.length)
    : instruction.bytes;

/** Applies as the scanner does: base and target in one array, at any place. */
function apply(delta: Uint8Array, from: Uint8Array, copies?: DeltaCopies): Uint8Array {
  const { baseBytes, resultBytes, instructionsIndex } = decodeDeltaSizes(delta, 0, delta.length);
  const arena = new Uint8Array(7 + from.length + 3 + resultBytes + 5).fill(0xee);
  arena.set(from, 7);
  const start = 7 + from.length + 3;
  applyDelta(
    { bytes: delta, start: instructionsIndex, end: delta.length },
    { bytes: arena, start: 7, sizeBytes: baseBytes },
    { bytes: arena, start, sizeBytes: resultBytes },
    copies,
  );
  expect(arena.subarray(start + resultBytes)).toEqual(new Uint8Array(5).fill(0xee));
  return arena.slice(start, start + resultBytes);
}

test("any instructions give the pieces they name, and report their copies", () => {
  fc.assert(
    fc.property(instructionLists, (instructions) => {
      const expected = Buffer.concat(instructions.map(bytesOf));
      const delta = deltaOf(BASE_BYTES, expected.length, ...instructions.map(encode));
      const copies = new DeltaCopies();
      expect(Buffer.compare(apply(delta, base, copies), expected)).toBe(0);
      let targetStart = 0;
      let copy = 0;
      for (const instruction of instructions) {
        const { length } = bytesOf(instruction);
        if (instruction.kind === "copy") {
          expect(copies.targetStart(copy)).toBe(targetStart);
          expect(copies.targetEnd(copy)).toBe(targetStart + length);
          expect(copies.baseStart(copy++)).toBe(instruction.start);
        }
        targetStart += length;
      }
      expect(copies.count).toBe(copy);
    }),
  );
});

test("sizes survive a round trip, also above 2^32", () => {
  const sizes = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: 2 ** 49 - 1 }));
  fc.assert(
    fc.property(sizes, sizes, (baseBytes, resultBytes) => {
      const delta = Buffer.concat([encodeDeltaSize(baseBytes), encodeDeltaSize(resultBytes)]);
      expect(decodeDeltaSizes(delta, 0, delta.length)).toEqual({
        baseBytes,
        resultBytes,
        instructionsIndex: delta.length,
      });
    }),
  );
});

test("a copy whose size is not given copies 65,536 bytes", () => {
  expect(apply(deltaOf(BASE_BYTES, 0x10000, Uint8Array.of(0x80)), base)).toEqual(base.slice(0, 0x10000));
});

test("copy offsets above 2^31 are not taken for negative ones", () => {
  const delta = deltaOf(10, 4, copyInstruction(0xffff_fff0, 4));
  expect(() => apply(delta, base.subarray(0, 10))).toThrow("past the end of its base");
});

test.each([
  ["copies past its base", deltaOf(10, 4, copyInstruction(8, 4)), /past the end of its base/],
  ["has the reserved instruction", deltaOf(10, 4, Uint8Array.of(0)), /reserved/],
  ["makes less than it says", deltaOf(10, 5, copyInstruction(0, 4)), /less than/],
  ["makes more than it says", deltaOf(10, 3, copyInstruction(0, 4)), /more than/],
  ["inserts more than it says", deltaOf(10, 3, insertInstructions("four")), /more than/],
  ["ends inside an insert", deltaOf(10, 9, Uint8Array.of(9, 1, 2)), /inside an instruction/],
  ["is empty", new Uint8Array(), /inside its sizes/],
  ["ends inside its sizes", Uint8Array.of(10, 0x80), /inside its sizes/],
  ["has an endless size", new Uint8Array(20).fill(0xff), /above 2\^53/],
])("a delta that %s is an error", (_, delta, message) => {
  expect(() => apply(delta, base.subarray(0, 10))).toThrow(message);
});

test("a delta cut off or changed anywhere gives an error or its declared size, never more", () => {
  const delta = deltaOf(10, 20, copyInstruction(0, 10), insertInstructions("0123456789"));
  const from = base.subarray(0, 10);
  for (let end = 0; end < delta.length; end++) {
    expect(() => apply(delta.subarray(0, end), from)).toThrow(CorruptPackError);
  }
  fc.assert(
    fc.property(fc.nat(delta.length - 3), fc.nat(255), (at, byte) => {
      const changed = Uint8Array.from(delta);
      changed[at + 2] = byte;
      try {
        expect(apply(changed, from)).toHaveLength(20);
      } catch (error) {
        expect(error).toBeInstanceOf(CorruptPackError);
      }
    }),
  );
});
