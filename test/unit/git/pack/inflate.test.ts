import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { CorruptPackError } from "../../../../lib/errors.ts";
import { EntryInflater } from "../../../../lib/git/pack/inflate.ts";
import { openZlibStepper } from "../../../../lib/git/pack/zlib-stepper.ts";
import { ChoppedPackSource } from "../../../support/chopped-pack-source.ts";
import { noiseBytes } from "../../../support/pack-builder.ts";

// Many runs each, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const TRAILER = Buffer.alloc(20, 0x5a);

const contents = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.nat(3000).map((length) => new Uint8Array(length)),
  fc.nat(3000).map((length) => noiseBytes(length)),
);
const levels = fc.integer({ min: 0, max: 9 });
const windowLengths = fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 8 });

interface Attempt {
  readonly stream: Uint8Array;
  readonly declaredBytes: number;
  readonly windows: readonly number[];
}

/** Either what came out, or that it was an error of the right kind. */
function outcome(inflater: EntryInflater, { stream, declaredBytes, windows }: Attempt): unknown {
  const source = new ChoppedPackSource(Buffer.concat([stream, TRAILER]), windows);
  const output = new Uint8Array(3 + declaredBytes + 1 + 4).fill(0xee);
  const entry = { source, offsetBytes: 0, inflatedBytes: declaredBytes, crc: 99 };
  try {
    const result = inflater.inflate(entry, output, 3);
    expect(output.subarray(0, 3)).toEqual(new Uint8Array(3).fill(0xee));
    expect(output.subarray(-4)).toEqual(new Uint8Array(4).fill(0xee));
    return { ...result, bytes: Buffer.from(output.subarray(3, 3 + declaredBytes)).toString("hex") };
  } catch (error) {
    expect(error).toBeInstanceOf(CorruptPackError);
    return "corrupt";
  }
}

test("this version of Node has the fast way", () => {
  expect(openZlibStepper()).toBeDefined();
});

describe.each([
  ["native", () => new EntryInflater()],
  ["portable", () => new EntryInflater({ portable: true })],
])("the %s way", (_, open) => {
  test("inflates any content out of windows of any size, and says where the stream ends", () => {
    const inflater = open();
    fc.assert(
      fc.property(contents, levels, windowLengths, (content, level, windows) => {
        const stream = deflateSync(content, { level });
        expect(outcome(inflater, { stream, declaredBytes: content.length, windows })).toEqual({
          compressedBytes: stream.length,
          crc: crc32(stream, 99),
          bytes: Buffer.from(content).toString("hex"),
        });
      }),
    );
  });

  test("inflates in pieces of any size", () => {
    const inflater = open();
    const pieceLengths = fc.integer({ min: 1, max: 700 });
    fc.assert(
      fc.property(contents, windowLengths, pieceLengths, (content, windows, pieceBytes) => {
        const stream = deflateSync(content);
        const source = new ChoppedPackSource(Buffer.concat([stream, TRAILER]), windows);
        const pieces: Uint8Array[] = [];
        const entry = { source, offsetBytes: 0, inflatedBytes: content.length };
        const result = inflater.inflatePieces(entry, new Uint8Array(pieceBytes), (piece) => {
          pieces.push(piece.slice());
        });
        expect(result).toEqual({ compressedBytes: stream.length, crc: crc32(stream) });
        expect(Buffer.compare(Buffer.concat(pieces), content)).toBe(0);
      }),
    );
  });

  test.each([1, 9, 1000])("a stream %d bytes longer or shorter than declared is an error", (difference) => {
    const inflater = open();
    const stream = deflateSync(new Uint8Array(5000));
    for (const declaredBytes of [5000 - difference, 5000 + difference]) {
      expect(outcome(inflater, { stream, declaredBytes, windows: [7] })).toBe("corrupt");
      const source = new ChoppedPackSource(Buffer.concat([stream, TRAILER]), [64]);
      const entry = { source, offsetBytes: 0, inflatedBytes: declaredBytes };
      let pieceBytes = 0;
      const onPiece = (piece: Uint8Array) => {
        pieceBytes += piece.length;
      };
      expect(() => inflater.inflatePieces(entry, new Uint8Array(100), onPiece)).toThrow(CorruptPackError);
      expect(pieceBytes).toBeLessThanOrEqual(declaredBytes);
    }
  });

  test("a stream that needs a dictionary is an error", () => {
    const stream = deflateSync("abc", { dictionary: Buffer.from("abc") });
    expect(outcome(open(), { stream, declaredBytes: 3, windows: [100] })).toBe("corrupt");
  });

  test("goes on after an error as if nothing had been", () => {
    const inflater = open();
    const stream = deflateSync("sound");
    outcome(inflater, { stream: Buffer.from("broken"), declaredBytes: 5, windows: [3] });
    expect(outcome(inflater, { stream, declaredBytes: 5, windows: [3] })).toMatchObject({
      bytes: Buffer.from("sound").toString("hex"),
    });
  });
});

test("both ways agree on every stream, broken ones included", () => {
  const native = new EntryInflater();
  const portable = new EntryInflater({ portable: true });
  const changes = fc.array(fc.tuple(fc.nat(4000), fc.nat(255)), { maxLength: 2 });
  fc.assert(
    fc.property(
      contents,
      levels,
      changes,
      fc.nat(4000),
      windowLengths,
      (content, level, bytes, cut, windows) => {
        const whole = deflateSync(content, { level });
        for (const [at, byte] of bytes) whole[at % whole.length] = byte;
        const stream = cut % 3 === 0 ? whole.subarray(0, cut % whole.length) : whole;
        const attempt = { stream, declaredBytes: content.length, windows };
        expect(outcome(portable, attempt)).toEqual(outcome(native, attempt));
      },
    ),
  );
});
