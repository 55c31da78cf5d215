import fc from "fast-check";
import { expect, test } from "vitest";
import { CorruptPackError } from "../../../../lib/errors.ts";
import {
  DELTA_TYPE,
  decodeEntryHead,
  decodePackHeader,
  encodeEntrySize,
  encodeOfsDeltaDistance,
  encodePackHeader,
  OBJECT_TYPE,
} from "../../../../lib/git/pack/pack-format.ts";

const SAFE_DISTANCE = 2 ** 49 - 1;
const sizes = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1),
);
const distances = fc.oneof(
  fc.integer({ min: 1, max: 40_000 }),
  fc.integer({ min: 1, max: SAFE_DISTANCE }),
  fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1),
);
const typeCodes = fc.constantFrom(...Object.values(OBJECT_TYPE));

const decode = (...parts: Uint8Array[]) => {
  const bytes = Buffer.concat(parts);
  return decodeEntryHead(bytes, 0, bytes.length);
};

test("the head of a whole object survives a round trip, also above 2^32 bytes", () => {
  fc.assert(
    fc.property(typeCodes, sizes, (type, inflatedBytes) => {
      const bytes = encodeEntrySize(type, inflatedBytes);
      expect(decode(bytes)).toEqual({
        type,
        inflatedBytes,
        headBytes: bytes.length,
        baseDistanceBytes: 0,
        baseIdIndex: -1,
      });
    }),
  );
});

test("the distance to a base survives a round trip, also above 2^32 bytes", () => {
  fc.assert(
    fc.property(sizes, distances, (inflatedBytes, baseDistanceBytes) => {
      const bytes = Buffer.concat([
        encodeEntrySize(DELTA_TYPE.ofs, inflatedBytes),
        encodeOfsDeltaDistance(baseDistanceBytes),
      ]);
      expect(decode(bytes)).toMatchObject({ inflatedBytes, baseDistanceBytes, headBytes: bytes.length });
    }),
  );
});

test.each([
  [[0x01], 1],
  [[0x7f], 127],
  [[0x80, 0x00], 128],
  [[0xfe, 0x7f], 16_383],
  [[0xff, 0x00], 16_384],
  [[0x86, 0xff, 0x00], 131_072],
])("distance %j is %d, both ways", (encoding, distanceBytes) => {
  expect(encodeOfsDeltaDistance(distanceBytes)).toEqual(Uint8Array.from(encoding));
  expect(decode(encodeEntrySize(DELTA_TYPE.ofs, 5), Uint8Array.from(encoding)).baseDistanceBytes).toBe(
    distanceBytes,
  );
});

test("a head that starts in the middle of a window is read from there", () => {
  const head = Buffer.concat([encodeEntrySize(DELTA_TYPE.ref, 1000), Buffer.alloc(20, 7)]);
  const bytes = Buffer.concat([Buffer.alloc(5, 0xff), head, Buffer.alloc(3)]);
  expect(decodeEntryHead(bytes, 5, bytes.length)).toMatchObject({ headBytes: 22, baseIdIndex: 7 });
});

test("a head cut off anywhere is an error, whatever is behind the end", () => {
  const heads = [
    encodeEntrySize(OBJECT_TYPE.blob, 2 ** 33),
    Buffer.concat([encodeEntrySize(DELTA_TYPE.ofs, 300), encodeOfsDeltaDistance(2 ** 33)]),
    Buffer.concat([encodeEntrySize(DELTA_TYPE.ref, 300), Buffer.alloc(20, 1)]),
  ];
  for (const head of heads) {
    for (let end = 0; end < head.length; end++) {
      expect(() => decodeEntryHead(head, 0, end)).toThrow(CorruptPackError);
    }
  }
});

test.each([
  ["type 0", [0x05], /unknown object type/],
  ["type 5", [0x55], /unknown object type/],
  ["a size of 11 bytes", [0xbf, ...Array(9).fill(0xff), 0x01], /size is above/],
  ["a distance of 0", [0x61, 0x00], /its own base/],
  ["a distance of 9 bytes", [0x61, ...Array(8).fill(0xff), 0x01], /distance is above/],
])("a head with %s is an error", (_, encoding, message) => {
  const bytes = Buffer.concat([Uint8Array.from(encoding), Buffer.alloc(30)]);
  expect(() => decodeEntryHead(bytes, 0, bytes.length)).toThrow(message);
});

test("a pack's header counts up to 2^32 - 1 objects", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (objectCount) => {
      expect(decodePackHeader(encodePackHeader(objectCount))).toEqual({ objectCount });
    }),
  );
});

test.each([
  ["cut off", Buffer.from("PACK"), /ends inside its header/],
  ["of another format", Buffer.from("PICK\0\0\0\x02\0\0\0\0"), /signature/],
  ["of version 4", Buffer.from("PACK\0\0\0\x04\0\0\0\0"), /version/],
])("a header %s is an error", (_, bytes, message) => {
  expect(() => decodePackHeader(bytes)).toThrow(message);
});
