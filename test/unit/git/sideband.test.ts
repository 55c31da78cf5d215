import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PktLineReader } from "../../../lib/git/pktline-reader.ts";
import {
  BAND,
  type Band,
  decodeBandPacket,
  encodeBandPackets,
  muxSideband,
  SIDE_BAND_64K_PACKET_BYTES,
  SIDE_BAND_PACKET_BYTES,
  type SidebandInput,
} from "../../../lib/git/sideband.ts";
import { chunksOf, collect, textOf, utf8 } from "../../support/byte-chunks.ts";

async function* each<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}

const fail = (error: unknown) => {
  throw error;
};

interface Demuxed {
  readonly packets: { readonly band: Band; readonly payload: Uint8Array }[];
  readonly endsWithFlush: boolean;
}

async function demux(bytes: Uint8Array): Promise<Demuxed> {
  const reader = new PktLineReader(chunksOf(bytes, []));
  const packets: Demuxed["packets"] = [];
  for (;;) {
    const line = await reader.next();
    if (line.kind !== "data") return { packets, endsWithFlush: line.kind === "flush" };
    packets.push(decodeBandPacket(line.payload.slice()));
  }
}

function bandBytes(packets: Demuxed["packets"], band: Band): Uint8Array {
  return new Uint8Array(
    Buffer.concat(packets.filter((packet) => packet.band === band).map(({ payload }) => payload)),
  );
}

describe("mux", () => {
  const inputs = fc.array(
    fc.oneof(
      fc.integer({ min: 0, max: 200_000 }).map((length) => new Uint8Array(length).fill(length % 251)),
      fc.uint8Array({ maxLength: 50 }),
      fc.string({ minLength: 1, maxLength: 20 }).map((progress) => ({ progress })),
    ),
    { maxLength: 12 },
  );

  test.each([SIDE_BAND_64K_PACKET_BYTES, SIDE_BAND_PACKET_BYTES])(
    "packets of at most %d bytes carry each band's bytes in order",
    async (maxPacketBytes) => {
      await fc.assert(
        fc.asyncProperty(inputs, async (items) => {
          const { packets, endsWithFlush } = await demux(
            await collect(muxSideband(each<SidebandInput>(items), { onFailure: fail, maxPacketBytes })),
          );
          const pack = Buffer.concat(items.filter((item) => item instanceof Uint8Array));
          const progress = items.map((item) => (item instanceof Uint8Array ? "" : item.progress)).join("");
          expect(Buffer.compare(bandBytes(packets, BAND.pack), pack)).toBe(0);
          expect(textOf(bandBytes(packets, BAND.progress))).toBe(textOf(utf8(progress)));
          expect(Math.max(0, ...packets.map(({ payload }) => payload.length))).toBeLessThanOrEqual(
            maxPacketBytes - 5,
          );
          expect(endsWithFlush).toBe(true);
        }),
        { numRuns: 40 },
      );
    },
  );

  test("a failure after some of the pack becomes band 3, without a flush and without details", async () => {
    async function* failing(): AsyncGenerator<SidebandInput> {
      yield utf8("PACK");
      throw new Error("bucket secret-name is gone");
    }
    const failures: unknown[] = [];
    const output = await collect(muxSideband(failing(), { onFailure: (error) => failures.push(error) }));
    const { packets, endsWithFlush } = await demux(output);
    expect(textOf(bandBytes(packets, BAND.fatal))).toBe(
      "mirror: reading the repository failed, please retry\n",
    );
    expect(endsWithFlush).toBe(false);
    expect(failures).toEqual([new Error("bucket secret-name is gone")]);
    expect(textOf(output)).not.toContain("secret-name");
  });

  test("nothing is read ahead of the consumer", async () => {
    let readBytes = 0;
    async function* endless(): AsyncGenerator<SidebandInput> {
      for (;;) {
        readBytes += 100_000;
        yield new Uint8Array(100_000);
      }
    }
    let takenBytes = 0;
    for await (const chunk of muxSideband(endless(), { onFailure: fail })) {
      takenBytes += chunk.length;
      expect(readBytes - takenBytes).toBeLessThan(100_000);
      if (takenBytes > 2_000_000) break;
    }
  });

  test("a consumer that stops closes the input", async () => {
    let closed = false;
    async function* endless(): AsyncGenerator<SidebandInput> {
      try {
        for (;;) yield new Uint8Array(1_000_000);
      } finally {
        closed = true;
      }
    }
    for await (const chunk of muxSideband(endless(), { onFailure: fail })) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(closed).toBe(true);
  });
});

describe("mux under a signal", () => {
  const timeUp = new DOMException("time is up", "TimeoutError");

  async function* stalling(): AsyncGenerator<SidebandInput> {
    yield new Uint8Array(3_000_000);
    await new Promise(() => undefined);
  }

  async function abortedWith(reason: Error, abortAfterBytes: number) {
    const stop = new AbortController();
    const failures: unknown[] = [];
    const options = { onFailure: (error: unknown) => failures.push(error), signal: stop.signal };
    const chunks: Uint8Array[] = [];
    let takenBytes = 0;
    for await (const chunk of muxSideband(stalling(), options)) {
      chunks.push(chunk);
      takenBytes += chunk.length;
      // Once more than there is, it stalls: then the signal comes while the input is waited for.
      if (takenBytes >= abortAfterBytes) setTimeout(() => stop.abort(reason), 5);
    }
    return { ...(await demux(new Uint8Array(Buffer.concat(chunks)))), failures };
  }

  test("reports a timeout to the client, although its input stalls", async () => {
    const { packets, endsWithFlush, failures } = await abortedWith(timeUp, 2_500_000);
    expect(textOf(packets.at(-1)?.payload ?? utf8(""))).toContain("time for one answer is up");
    expect(packets.at(-1)?.band).toBe(BAND.fatal);
    expect({ endsWithFlush, failures }).toEqual({ endsWithFlush: false, failures: [timeUp] });
  });

  test("ends without a word when the caller has gone", async () => {
    const { packets, endsWithFlush, failures } = await abortedWith(new Error("gone"), 2_500_000);
    expect(packets.every(({ band }) => band === BAND.pack)).toBe(true);
    expect({ endsWithFlush, failures }).toEqual({ endsWithFlush: false, failures: [] });
  });

  test("closes its input", async () => {
    let isClosed = false;
    async function* endless(): AsyncGenerator<SidebandInput> {
      try {
        for (;;) yield new Uint8Array(1_000_000);
      } finally {
        isClosed = true;
      }
    }
    const stop = new AbortController();
    for await (const _chunk of muxSideband(endless(), { onFailure: () => undefined, signal: stop.signal })) {
      stop.abort(timeUp);
    }
    expect(isClosed).toBe(true);
  });
});

test("a packet without a known band is refused", () => {
  expect(() => decodeBandPacket(new Uint8Array(0))).toThrow("no known band");
  expect(() => decodeBandPacket(Uint8Array.of(4, 1))).toThrow("no known band");
});

test("text longer than a packet goes in several", async () => {
  const { packets } = await demux(
    encodeBandPackets(BAND.progress, new Uint8Array(2000), SIDE_BAND_PACKET_BYTES),
  );
  expect(packets.map(({ payload }) => payload.length)).toEqual([995, 995, 10]);
});
