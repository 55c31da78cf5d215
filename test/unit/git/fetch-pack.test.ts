import { describe, expect, test } from "vitest";
import { UpstreamError } from "../../../lib/errors.ts";
import {
  encodeFetchRequestV0,
  encodeFetchRequestV2,
  readFetchResponse,
} from "../../../lib/git/fetch-pack.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { BAND, encodeBandPackets } from "../../../lib/git/sideband.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (content: string) => new TextEncoder().encode(content);
const ID_A = parseObjectId("a".repeat(40));
const ID_B = parseObjectId("b".repeat(40));

async function* chunksOf(whole: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < whole.length; start += chunkBytes)
    yield whole.subarray(start, start + chunkBytes);
}

async function readPack(pieces: Uint8Array[], protocol: 0 | 2, chunkBytes = 7) {
  const progress: string[] = [];
  const pack: Uint8Array[] = [];
  const body = chunksOf(Buffer.concat(pieces), chunkBytes);
  for await (const piece of readFetchResponse(body, {
    protocol,
    onProgress: (line) => progress.push(line),
  })) {
    pack.push(piece);
  }
  return { pack: text(Buffer.concat(pack)), progress: progress.join("") };
}

const PACK_PACKETS = [
  encodeBandPackets(BAND.progress, bytes("Counting\n")),
  encodeBandPackets(BAND.pack, bytes("PACK")),
  encodeBandPackets(BAND.pack, bytes("rest")),
];

describe("requests", () => {
  test("a v2 request has the command, capabilities, arguments and done", () => {
    const request = encodeFetchRequestV2({ wants: [ID_A], haves: [ID_B], agent: "nearside/1" });
    expect(text(request)).toBe(
      "0012command=fetch\n0015agent=nearside/1\n0001000ethin-pack\n000eofs-delta\n" +
        `0032want ${ID_A}\n0032have ${ID_B}\n0009done\n0000`,
    );
  });

  test("a v0 request has its capabilities on the first want only", () => {
    const request = encodeFetchRequestV0({ wants: [ID_A, ID_B], haves: [ID_B], agent: "nearside/1" });
    expect(text(request)).toBe(
      `0065want ${ID_A} side-band-64k ofs-delta thin-pack agent=nearside/1\n0032want ${ID_B}\n0000` +
        `0032have ${ID_B}\n0009done\n`,
    );
  });
});

describe("responses", () => {
  test.each([1, 3, 1000])("the pack comes out of a v2 answer in chunks of %d", async (chunkBytes) => {
    const pieces = [encodePktLine("packfile\n"), ...PACK_PACKETS, FLUSH_PKT];
    expect(await readPack(pieces, 2, chunkBytes)).toEqual({ pack: "PACKrest", progress: "Counting\n" });
  });

  test("sections before the pack of a v2 answer are passed over", async () => {
    const pieces = [
      encodePktLine("acknowledgments\n"),
      encodePktLine(`ACK ${ID_A}\n`),
      encodePktLine("ready\n"),
      DELIM_PKT,
      encodePktLine("packfile\n"),
      ...PACK_PACKETS,
      FLUSH_PKT,
    ];
    expect((await readPack(pieces, 2)).pack).toBe("PACKrest");
  });

  test.each(["NAK\n", `ACK ${ID_A}\n`])("the pack of a v0 answer follows %j", async (acknowledgment) => {
    const pieces = [encodePktLine(acknowledgment), ...PACK_PACKETS, FLUSH_PKT];
    expect((await readPack(pieces, 0)).pack).toBe("PACKrest");
  });

  test.each([0, 2] as const)("ERR in a v%d answer is the primary's refusal", async (protocol) => {
    const reading = readPack([encodePktLine("ERR upload-pack: not our ref")], protocol);
    await expect(reading).rejects.toThrow("the primary refused: upload-pack: not our ref");
    await expect(reading).rejects.toBeInstanceOf(UpstreamError);
  });

  test("band 3 is the primary's failure", async () => {
    const pieces = [
      encodePktLine("packfile\n"),
      ...PACK_PACKETS,
      encodeBandPackets(BAND.fatal, bytes("out of memory\n")),
    ];
    await expect(readPack(pieces, 2)).rejects.toThrow("the primary failed: out of memory");
  });

  test("an answer cut at any byte is an error, never a short pack", async () => {
    const whole = Buffer.concat([encodePktLine("packfile\n"), ...PACK_PACKETS, FLUSH_PKT]);
    for (let lengthBytes = 0; lengthBytes < whole.length; lengthBytes++) {
      await expect(readPack([whole.subarray(0, lengthBytes)], 2)).rejects.toBeInstanceOf(UpstreamError);
    }
  });

  test("an answer that is not git's is an error", async () => {
    await expect(readPack([bytes("<html>proxy</html>")], 2)).rejects.toBeInstanceOf(UpstreamError);
    await expect(
      readPack([encodePktLine("packfile\n"), encodePktLine("\u0007x"), FLUSH_PKT], 2),
    ).rejects.toBeInstanceOf(UpstreamError);
  });

  test("ending the iteration early closes the body", async () => {
    let closed = false;
    async function* body(): AsyncGenerator<Uint8Array> {
      try {
        yield encodePktLine("packfile\n");
        for (;;) yield encodeBandPackets(BAND.pack, bytes("PACK"));
      } finally {
        closed = true;
      }
    }
    for await (const piece of readFetchResponse(body(), { protocol: 2 })) {
      expect(text(piece)).toBe("PACK");
      break;
    }
    expect(closed).toBe(true);
  });
});
