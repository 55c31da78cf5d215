/**
 * Receives one bomb, made as it is pulled, and prints as JSON what came of it and how much memory the process took.
 * `inflate-bomb-process.ts <declared bytes> <real bytes>`: a blob of zeros.
 */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { constants, createDeflateRaw, deflateRawSync } from "node:zlib";
import { encodeEntrySize, encodePackHeader, OBJECT_TYPE } from "../../lib/git/pack/pack-format.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { receivePack } from "../../lib/sync/receive-pack.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";

const BLOCK_BYTES = 2 ** 24;
const ADLER_MODULUS = 65_521;

/** Deflate blocks that make 16 MiB of zeros and may follow one another. */
async function zeroBlocks(): Promise<Uint8Array> {
  const deflate = createDeflateRaw();
  const chunks: Uint8Array[] = [];
  deflate.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  deflate.write(new Uint8Array(BLOCK_BYTES));
  deflate.flush(constants.Z_FULL_FLUSH, () => deflate.push(null));
  await once(deflate, "end");
  return Buffer.concat(chunks);
}

async function* bomb(declaredBytes: number, realBytes: number): AsyncGenerator<Uint8Array> {
  const blocks = await zeroBlocks();
  const sha1 = createHash("sha1");
  const hashed = (bytes: Uint8Array): Uint8Array => {
    sha1.update(bytes);
    return bytes;
  };
  yield hashed(encodePackHeader(1));
  yield hashed(encodeEntrySize(OBJECT_TYPE.blob, declaredBytes));
  yield hashed(Uint8Array.of(0x78, 0x9c));
  for (let bytes = 0; bytes < realBytes; bytes += BLOCK_BYTES) yield hashed(blocks);
  yield hashed(deflateRawSync(new Uint8Array()));
  // Adler-32 of zeros: the low half stays 1, the high half counts the bytes.
  const adler = new DataView(new ArrayBuffer(4));
  adler.setUint16(0, realBytes % ADLER_MODULUS);
  adler.setUint16(2, 1);
  yield hashed(new Uint8Array(adler.buffer));
  yield sha1.digest();
}

const [declaredBytes = 0, realBytes = 0] = process.argv.slice(2).map(Number);
let receivedBytes = 0;
const outcome = await receivePack({
  store: new MemoryBlobStore(),
  keys: repositoryKeys("00000000-0000-4000-8000-000000000000"),
  chunks: bomb(declaredBytes, realBytes),
  readBase: async () => undefined,
  maxPackBytes: 2 ** 30,
  onBytes: (bytes) => {
    receivedBytes = bytes;
  },
  onIndex() {},
}).then(
  ({ indexed }) => ({ objectCount: indexed.objectCount }),
  (error: { readonly code?: string; readonly message: string }) => ({
    code: error.code,
    message: error.message,
  }),
);
const memoryMib = process.resourceUsage().maxRSS / 1024;
process.stdout.write(`${JSON.stringify({ ...outcome, receivedBytes, memoryMib })}\n`);
