import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EntryDeflater } from "../../../../lib/git/pack/reencoded-entry.ts";

describe.each([{ portable: false }, { portable: true }])("deflated with portable = $portable", (options) => {
  test("one after another, each is a zlib stream of its own", () => {
    const deflater = new EntryDeflater(options);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
        expect(new Uint8Array(inflateSync(deflater.deflate(bytes)))).toEqual(bytes);
      }),
    );
  });

  test("what cannot be compressed has room", () => {
    const deflater = new EntryDeflater(options);
    const bytes = Uint8Array.from({ length: 1_000_000 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 13);
    expect(new Uint8Array(inflateSync(deflater.deflate(bytes)))).toEqual(bytes);
  });
});
