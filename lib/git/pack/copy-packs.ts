/** Writes one pack out of whole packs: their bodies as they are, one behind the other. Deltas by offset move with them. */
import { createHash } from "node:crypto";
import type { PackBody } from "../ports.ts";
import { encodePackHeader, PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from "./pack-format.ts";

/** A single pack to which nothing was appended is sent as it is; else the header and the checksum are made anew. */
export async function* copyPacks(packs: readonly PackBody[]): AsyncGenerator<Uint8Array, void, undefined> {
  const only = packs.length === 1 ? packs[0] : undefined;
  if (only !== undefined && only.sentEndBytes === only.packBytes - PACK_TRAILER_BYTES) {
    yield* only.stream(0, only.packBytes);
    return;
  }
  const hash = createHash("sha1");
  const header = encodePackHeader(packs.reduce((count, pack) => count + pack.sentObjectCount, 0));
  hash.update(header);
  yield header;
  for (const pack of packs) {
    for await (const chunk of pack.stream(PACK_HEADER_BYTES, pack.sentEndBytes - PACK_HEADER_BYTES)) {
      hash.update(chunk);
      yield chunk;
    }
  }
  yield hash.digest();
}
