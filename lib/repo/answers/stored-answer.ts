/**
 * An answer as a blob: a head with its length and checksum, then its bytes. It is written while it is made and becomes visible
 * whole; what is read all the same is checked, because a client would only find out at its very end, and would come again.
 *
 * Head, 16 bytes: `NSA` and a version; the length as two numbers of four bytes; CRC-32 of the bytes.
 */
import { crc32 } from "node:zlib";
import { afterCleanUp, CorruptPackError, LimitExceededError, NotFoundError } from "../../errors.ts";
import type { BlobStore } from "../../store/blob-store.ts";

const HEAD_BYTES = 16;
const SIGNATURE = 0x4e53_4101;

interface AnswerHead {
  readonly lengthBytes: number;
  readonly crc: number;
}

/**
 * @param chunks - Ends early only by throwing.
 * @throws {VersionConflictError} Another writer was first. @throws {LimitExceededError} It is too long.
 *   And whatever `chunks` and the store throw. In each case nothing is left behind.
 */
export async function writeAnswer(
  store: BlobStore,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<void> {
  // Never over another one: it may be being read, and an object store's reader continues only in the same version.
  const upload = await store.startUpload(key, { ifVersion: "absent" });
  try {
    await upload.write(new Uint8Array(HEAD_BYTES));
    let lengthBytes = 0;
    let crc = 0;
    for await (const chunk of chunks) {
      lengthBytes += chunk.length;
      if (lengthBytes > maxBytes) throw new LimitExceededError("answer is too long to be kept", { maxBytes });
      crc = crc32(chunk, crc);
      await upload.write(chunk);
    }
    await upload.complete({ head: encodeHead({ lengthBytes, crc }) });
  } catch (error) {
    throw await afterCleanUp(error, () => upload.abort());
  }
}

interface StoredAnswerOptions {
  readonly signal?: AbortSignal | undefined;
  readonly maxBytes?: number | undefined;
}

/**
 * One request to the store, found or not.
 * @param signal - Aborts when the reader has gone, even if it never began to read.
 * @param maxBytes - A longer answer counts as absent.
 * @returns The answer's bytes; `undefined` if there is no such answer. The iteration throws a {@link CorruptPackError} if it is
 *   damaged, before its last chunk.
 */
export async function openStoredAnswer(
  store: BlobStore,
  key: string,
  { signal, maxBytes = Number.POSITIVE_INFINITY }: StoredAnswerOptions = {},
): Promise<AsyncGenerator<Uint8Array, void, undefined> | undefined> {
  const chunks = store.streamWhole(key, { signal })[Symbol.asyncIterator]();
  const close = (): void => {
    signal?.removeEventListener("abort", close);
    // A connection that cannot be closed has failed already.
    chunks.return?.().catch(() => undefined);
  };
  try {
    const step = await chunks.next();
    const first = step.done ? new Uint8Array(0) : step.value;
    const isTooLong = first.length >= HEAD_BYTES && lengthIn(first) > maxBytes;
    if (isTooLong || signal?.aborted) close();
    else signal?.addEventListener("abort", close);
    return isTooLong ? undefined : verified(first, chunks, close);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

async function* verified(
  first: Uint8Array,
  chunks: AsyncIterator<Uint8Array>,
  close: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    let held = first;
    for (let step = await nextUntil(held, chunks); step !== undefined; step = await nextUntil(held, chunks)) {
      held = Buffer.concat([held, step]);
    }
    const { lengthBytes, crc } = decodeHead(held);
    held = held.subarray(HEAD_BYTES);
    let readBytes = held.length;
    let readCrc = crc32(held);
    for (let step = await chunks.next(); !step.done; step = await chunks.next()) {
      yield held;
      held = step.value;
      readBytes += held.length;
      readCrc = crc32(held, readCrc);
    }
    if (readBytes !== lengthBytes || readCrc !== crc) {
      throw new CorruptPackError("stored answer is damaged", { lengthBytes, readBytes });
    }
    yield held;
  } finally {
    close();
  }
}

/** @returns The next chunk while the head is not whole. */
async function nextUntil(
  held: Uint8Array,
  chunks: AsyncIterator<Uint8Array>,
): Promise<Uint8Array | undefined> {
  if (held.length >= HEAD_BYTES) return undefined;
  const step = await chunks.next();
  return step.done ? undefined : step.value;
}

function encodeHead({ lengthBytes, crc }: AnswerHead): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, SIGNATURE);
  view.setUint32(4, Math.floor(lengthBytes / 2 ** 32));
  view.setUint32(8, lengthBytes % 2 ** 32);
  view.setUint32(12, crc);
  return bytes;
}

function decodeHead(bytes: Uint8Array): AnswerHead {
  if (bytes.length < HEAD_BYTES) throw new CorruptPackError("stored answer is cut", { bytes: bytes.length });
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(0) !== SIGNATURE) throw new CorruptPackError("not a stored answer");
  return { lengthBytes: lengthIn(bytes), crc: view.getUint32(12) };
}

function lengthIn(head: Uint8Array): number {
  const view = new DataView(head.buffer, head.byteOffset);
  return view.getUint32(4) * 2 ** 32 + view.getUint32(8);
}
