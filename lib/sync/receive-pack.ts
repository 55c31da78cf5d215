/**
 * Receives a pack from the primary: its bytes are written to a local file and to the store as they arrive, and indexed meanwhile.
 * Memory does not grow with the pack.
 */

import { randomBytes } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { afterCleanUp, assertNotStopped, LimitExceededError } from "../errors.ts";
import { type ObjectId, objectIdAt } from "../git/object-id.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import { PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";
import { untilAborted } from "../git/until-aborted.ts";
import type { ReadBase } from "../indexer/append-bases.ts";
import { PackFileProgress } from "../indexer/file-pack-source.ts";
import { type IndexedPack, type IndexProgress, indexPack } from "../indexer/index-pack.ts";
import { writeAt } from "../indexer/write-at.ts";
import type { RepositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import type { BlobStore, BlobUpload } from "../store/blob-store.ts";
import { openUnnamedFile } from "../store/unnamed-file.ts";

export interface ReceivePackOptions {
  readonly store: BlobStore;
  readonly keys: RepositoryKeys;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Reads a stored object; for thin packs. */
  readonly readBase: ReadBase;
  readonly readBasesAhead?: (baseIds: readonly ObjectId[]) => void;
  readonly maxPackBytes: number;
  readonly onBytes: (receivedBytes: number) => void;
  readonly onIndex: (progress: IndexProgress) => void;
  readonly signal?: AbortSignal | undefined;
  readonly temporaryFolder?: string | undefined;
}

export interface ReceivedPack {
  /** The pack is stored; its index is not yet. */
  readonly pack: ManifestPack;
  readonly indexed: IndexedPack;
}

const BATCH_BYTES = 2 ** 20;

/**
 * On failure all that was stored is deleted.
 * @throws {CorruptPackError} @throws {LimitExceededError} @throws {UpstreamError} @throws {StoppedError}
 * And the store's errors.
 */
export async function receivePack(options: ReceivePackOptions): Promise<ReceivedPack> {
  const { store, keys, readBase, readBasesAhead, onIndex, signal } = options;
  assertNotStopped(signal);
  const packId = randomBytes(20).toString("hex");
  await using file = await openUnnamedFile(options.temporaryFolder);
  // Without a condition: the name is random, and a retried conditional write conflicts with itself.
  const upload = await store.startUpload(keys.pack(packId));
  try {
    const progress = new PackFileProgress();
    const indexing = indexPack({
      ...{ file: file.handle, progress, readBase, signal },
      ...(readBasesAhead && { readBasesAhead }),
      onProgress: onIndex,
    });
    const transferring = transfer(options, file.handle, progress, upload, indexing).catch(
      (error: unknown) => {
        progress.fail();
        throw error;
      },
    );
    // The file is closed after both have ended; if one fails, the other fails too.
    const [transferred, result] = await Promise.allSettled([transferring, indexing]);
    assertNotStopped(signal);
    if (transferred.status === "rejected") throw transferred.reason;
    if (result.status === "rejected") throw result.reason;
    const indexed = result.value;
    await uploadTail(file.handle, indexed, upload);
    await upload.complete({ head: indexed.header });
    return { pack: manifestPack(packId, indexed), indexed };
  } catch (error) {
    throw await afterCleanUp(error, () => upload.abort());
  }
}

function manifestPack(id: string, indexed: IndexedPack): ManifestPack {
  const { packBytes, objectCount, sentObjectCount, sentEndBytes, repeatedObjectCount } = indexed;
  return {
    id,
    packBytes,
    indexBytes: indexed.index.length,
    objectCount,
    sentObjectCount,
    sentEndBytes,
    repeatedObjectCount,
    // Some git clients reject a pack with a duplicate object.
    ...(repeatedObjectCount === 0 && { checksum: checksumOf(indexed) }),
  };
}

function checksumOf({ index }: IndexedPack): string {
  return objectIdAt(new PackIndex(index).packChecksum(), 0);
}

/** Writes all but the trailer to both: the store's copy may get more entries before it. */
async function transfer(
  { chunks, maxPackBytes, onBytes, signal }: ReceivePackOptions,
  file: FileHandle,
  progress: PackFileProgress,
  upload: BlobUpload,
  indexing: Promise<unknown>,
): Promise<void> {
  let receivedBytes = 0;
  let tail: Uint8Array = new Uint8Array(0);
  for await (const batch of batched(untilFailed(untilAborted(chunks, signal), indexing))) {
    if (receivedBytes + batch.length > maxPackBytes) {
      throw new LimitExceededError(`the primary's pack is larger than ${maxPackBytes} bytes`);
    }
    const joined = Buffer.concat([tail, batch]);
    const bodyBytes = Math.max(0, joined.length - PACK_TRAILER_BYTES);
    await Promise.all([writeAt(file, batch, receivedBytes), upload.write(joined.subarray(0, bodyBytes))]);
    tail = joined.subarray(bodyBytes);
    receivedBytes += batch.length;
    progress.advance(receivedBytes);
    onBytes(receivedBytes);
  }
  progress.complete(receivedBytes);
}

/** Yields chunks until indexing fails: a broken pack is not received to its end. */
async function* untilFailed(
  chunks: AsyncIterable<Uint8Array>,
  indexing: Promise<unknown>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let failure: { readonly error: unknown } | undefined;
  indexing.catch((error: unknown) => {
    failure = { error };
  });
  for await (const chunk of chunks) {
    if (failure !== undefined) throw failure.error;
    yield chunk;
  }
}

/** Joins chunks to fewer and larger writes: the primary's are as small as its packets. */
export async function* batched(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const chunk of chunks) {
    waiting.push(chunk);
    waitingBytes += chunk.length;
    if (waitingBytes < BATCH_BYTES) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    waitingBytes = 0;
  }
  if (waitingBytes > 0) yield Buffer.concat(waiting);
}

/** The appended bases, if any, and the trailer. */
async function uploadTail(
  file: FileHandle,
  { sentEndBytes, packBytes }: IndexedPack,
  upload: BlobUpload,
): Promise<void> {
  for (let offsetBytes = sentEndBytes; offsetBytes < packBytes; ) {
    const buffer = new Uint8Array(Math.min(BATCH_BYTES, packBytes - offsetBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offsetBytes);
    if (bytesRead === 0) throw new Error("the pack's local file is shorter than what was written to it");
    await upload.write(buffer.subarray(0, bytesRead));
    offsetBytes += bytesRead;
  }
}
