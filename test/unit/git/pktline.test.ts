import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../../lib/errors.ts";
import {
  DELIM_PKT,
  decodePktLine,
  encodePktLine,
  FLUSH_PKT,
  MAX_PKT_PAYLOAD_BYTES,
  pktText,
} from "../../../lib/git/pktline.ts";
import { type PktLine, PktLineReader } from "../../../lib/git/pktline-reader.ts";
import { chunksOf, cutPoints, textOf, utf8 } from "../../support/byte-chunks.ts";

async function readAll(reader: PktLineReader): Promise<PktLine[]> {
  const lines: PktLine[] = [];
  for (;;) {
    const line = await reader.next();
    if (line.kind === "end") return lines;
    lines.push(line.kind === "data" ? { ...line, payload: line.payload.slice() } : line);
  }
}

describe("one line", () => {
  test.each([
    ["0006a\n", { kind: "data", payload: utf8("a\n"), bytesConsumed: 6 }],
    ["0004", { kind: "data", payload: utf8(""), bytesConsumed: 4 }],
    ["000Bfoobar\n!", { kind: "data", payload: utf8("foobar\n"), bytesConsumed: 11 }],
    ["0000", { kind: "flush", bytesConsumed: 4 }],
    ["0001", { kind: "delim", bytesConsumed: 4 }],
    ["0002", { kind: "response-end", bytesConsumed: 4 }],
    ["00", { kind: "incomplete", bytesNeeded: 4 }],
    ["0006a", { kind: "incomplete", bytesNeeded: 6 }],
  ])("%j decodes", (text, expected) => {
    expect(decodePktLine(utf8(text))).toEqual(expected);
  });

  test.each(["0003", "fff1x", "ffff", "00g0", " 006", "-001", "<htm"])("%j is refused", (text) => {
    expect(() => decodePktLine(utf8(text))).toThrow(ProtocolError);
  });

  test("the longest line has 65520 bytes", () => {
    const line = encodePktLine(new Uint8Array(MAX_PKT_PAYLOAD_BYTES));
    expect(textOf(line.subarray(0, 4))).toBe("fff0");
    expect(decodePktLine(line)).toMatchObject({ kind: "data", bytesConsumed: 65_520 });
    expect(() => encodePktLine(new Uint8Array(MAX_PKT_PAYLOAD_BYTES + 1))).toThrow(ProtocolError);
  });

  test("one newline at the end is no part of the text", () => {
    expect(["a\n", "a", "a\n\n", "\n", ""].map((text) => pktText(utf8(text)))).toEqual([
      "a",
      "a",
      "a\n",
      "",
      "",
    ]);
  });
});

describe("a stream of lines", () => {
  const payloads = fc.array(fc.oneof(fc.constantFrom("flush", "delim"), fc.uint8Array({ maxLength: 300 })), {
    maxLength: 12,
  });

  test("gives the same lines wherever the chunks are cut", async () => {
    await fc.assert(
      fc.asyncProperty(payloads, cutPoints(), async (lines, cuts) => {
        const encoded = lines.map((line) => {
          if (line === "flush") return FLUSH_PKT;
          return line === "delim" ? DELIM_PKT : encodePktLine(line as Uint8Array);
        });
        const read = await readAll(new PktLineReader(chunksOf(Buffer.concat(encoded), cuts)));
        expect(
          read.map((line) => (line.kind === "data" ? Uint8Array.from(line.payload) : line.kind)),
        ).toEqual(lines);
      }),
    );
  });

  test("cut inside a line is an error, between lines an end", async () => {
    const whole = Buffer.concat([encodePktLine("one"), encodePktLine("two")]);
    for (let lengthBytes = 0; lengthBytes <= whole.length; lengthBytes++) {
      const reading = readAll(new PktLineReader(chunksOf(whole.subarray(0, lengthBytes), [3, 8])));
      if (lengthBytes % 7 === 0) expect((await reading).length).toBe(lengthBytes / 7);
      else await expect(reading).rejects.toThrow(ProtocolError);
    }
  });

  test("no more is pulled than a line needs", async () => {
    let pulledCount = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (;;) {
        pulledCount++;
        yield encodePktLine("line");
      }
    }
    const reader = new PktLineReader(source());
    await reader.next();
    await reader.next();
    expect(pulledCount).toBe(2);
  });
});
