/**
 * Writes the pack that takes a run's place: entries are copied compressed as they are, and go to the store as they are read.
 * Index and history are put together from what the old ones say; no object is inflated for them.
 */

import { createHash, randomBytes } from "node:crypto";
import { afterCleanUp, assertNotStopped, CorruptPackError } from "../../errors.ts";
import { encodePackHistory } from "../../git/history/pack-history.ts";
import { OBJECT_ID_BYTES, objectIdAt, objectIdBytes } from "../../git/object-id.ts";
import type { ObjectNumber } from "../../git/object-numbers.ts";
import { PackOutput } from "../../git/pack/chunk-collector.ts";
import { encodePackIndex, sortedByObjectId } from "../../git/pack/index-v2.ts";
import { encodePackHeader } from "../../git/pack/pack-format.ts";
import { writeEntries } from "../../git/pack/write-pack.ts";
import type { PackedObjects } from "../../git/ports.ts";
import type { BlobStore, BlobUpload } from "../../store/blob-store.ts";
import type { RepositoryKeys } from "../layout.ts";
import type { ManifestPack } from "../manifest.ts";
import { deletePack, writePackCompanions } from "../pack-blobs.ts";
import { streamAsRepositoryDamage } from "../repository-damage.ts";
import { mergeHistory } from "./merged-history.ts";
import type { RunObjects } from "./run-objects.ts";

/**
 * Each push brings deltas of what the pushes before brought, so chains would grow for ever. Twice as long as git's: what the
 * primary has packed stays as it is.
 */
const MAX_DEPTH = 100;

interface MergedPackOptions {
  readonly store: BlobStore;
  readonly keys: RepositoryKeys;
  readonly objects: PackedObjects;
  /** Makes the sidecar of pointers; see `mergedLfsPointers`. */
  readonly encodeLfsPointers?:
    | ((numbers: Uint32Array, isOwn: (objectNumber: ObjectNumber) => boolean) => Promise<Uint8Array>)
    | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEntries?: ((entryCount: number) => void) | undefined;
}

/**
 * On failure nothing stays behind.
 * @returns The pack as a manifest names it: it, its index and, if all packs have one, its history are in the store.
 * @throws {DamagedRepositoryError} An entry is not what its index says. @throws {StoppedError} And what the store throws.
 */
export async function writeMergedPack(options: MergedPackOptions, run: RunObjects): Promise<ManifestPack> {
  const { store, keys, objects } = options;
  const id = randomBytes(20).toString("hex");
  const entries = new MergedEntries(objects, run.own.length + run.bases.length);
  try {
    const written = await uploadPack(options, await store.startUpload(keys.pack(id)), run, entries);
    const order = sortedByObjectId(entries);
    const index = await encodePackIndex(entries, order, written.trailer);
    const numbers = order.map((entry) => entries.numbers[entry] as number);
    const isOwn = isOwnOf(run, objects.objectCount);
    const historyBytes = await encodeHistory(objects, run, { numbers, order, isOwn }, entries);
    const lfsPointers = await options.encodeLfsPointers?.(numbers, isOwn);
    assertNotStopped(options.signal);
    const companions = { index, history: historyBytes, lfsPointers };
    const sizes = await writePackCompanions(store, keys, id, companions);
    return {
      id,
      packBytes: written.packBytes,
      indexBytes: index.length,
      ...sizes,
      objectCount: entries.objectCount,
      sentObjectCount: run.own.length,
      sentEndBytes: written.sentEndBytes,
      repeatedObjectCount: 0,
      checksum: objectIdAt(written.trailer, 0),
    };
  } catch (error) {
    // Where this fails, the janitor deletes them.
    throw await afterCleanUp(error, () => deletePack(store, keys, id));
  }
}

interface WrittenPack {
  readonly packBytes: number;
  readonly sentEndBytes: number;
  readonly trailer: Uint8Array;
}

async function uploadPack(
  { objects, signal, onEntries }: MergedPackOptions,
  upload: BlobUpload,
  run: RunObjects,
  entries: MergedEntries,
): Promise<WrittenPack> {
  const output = new PackOutput();
  const send = async (chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> => {
    for await (const chunk of chunks) {
      assertNotStopped(signal);
      await upload.write(chunk);
      onEntries?.(entries.writtenCount);
    }
  };
  try {
    output.write(encodePackHeader(entries.objectCount));
    const isBase = new Uint8Array(objects.objectCount);
    for (const objectNumber of run.bases) isBase[objectNumber] = 1;
    const common = {
      objects: verifiedObjects(objects),
      ofsDelta: true,
      isThin: false,
      maxDepth: MAX_DEPTH,
      onEntry: entries.add,
    };
    const clientHas = (objectNumber: ObjectNumber): boolean => isBase[objectNumber] === 1;
    await send(
      streamAsRepositoryDamage(writeEntries(output, { ...common, objectNumbers: run.own, clientHas })),
    );
    const sentEndBytes = output.offsetBytes;
    const bases = { ...common, objectNumbers: run.bases, clientHas: () => false };
    await send(streamAsRepositoryDamage(writeEntries(output, bases)));
    const ending = output.end();
    await send(ending);
    await upload.complete();
    const trailer = ending.at(-1) ?? new Uint8Array();
    return { packBytes: output.offsetBytes + trailer.length, sentEndBytes, trailer };
  } catch (error) {
    throw await afterCleanUp(error, () => upload.abort());
  }
}

/** Of the merged pack, in the order of its index. */
interface OrderedObjects {
  /** The repository's numbers. */
  readonly numbers: Uint32Array;
  /** The entries' numbers. */
  readonly order: Uint32Array;
  readonly isOwn: (objectNumber: ObjectNumber) => boolean;
}

function isOwnOf({ own }: RunObjects, objectCount: number): (objectNumber: ObjectNumber) => boolean {
  const marks = new Uint8Array(objectCount);
  for (const objectNumber of own) marks[objectNumber] = 1;
  return (objectNumber) => marks[objectNumber] === 1;
}

async function encodeHistory(
  objects: PackedObjects,
  { isKept }: RunObjects,
  { numbers, order, isOwn }: OrderedObjects,
  entries: MergedEntries,
): Promise<Uint8Array | undefined> {
  const { history } = objects;
  if (history === undefined) return undefined;
  const merged = await mergeHistory(history, {
    objects,
    numbers,
    bases: Int32Array.from(order, (entry) => entries.bases[entry] as number),
    isOwn,
    isKept,
  });
  return encodePackHistory(merged);
}

/** Columns of the new pack's entries, in the order of writing. */
class MergedEntries {
  readonly objectCount: number;
  readonly ids: Uint8Array;
  readonly offsets: Float64Array;
  readonly crcs: Uint32Array;
  /** The repository's numbers. */
  readonly numbers: Uint32Array;
  /** The repository's numbers of what they are deltas of; -1 for those that are whole. */
  readonly bases: Int32Array;
  readonly #objects: PackedObjects;
  writtenCount = 0;

  constructor(objects: PackedObjects, objectCount: number) {
    this.#objects = objects;
    this.objectCount = objectCount;
    this.ids = new Uint8Array(objectCount * OBJECT_ID_BYTES);
    this.offsets = new Float64Array(objectCount);
    this.crcs = new Uint32Array(objectCount);
    this.numbers = new Uint32Array(objectCount);
    this.bases = new Int32Array(objectCount);
  }

  readonly add = (
    objectNumber: ObjectNumber,
    offsetBytes: number,
    crc: number,
    baseNumber: ObjectNumber,
  ): void => {
    const entry = this.writtenCount++;
    this.ids.set(objectIdBytes(this.#objects.objectId(objectNumber)), entry * OBJECT_ID_BYTES);
    this.offsets[entry] = offsetBytes;
    this.crcs[entry] = crc;
    this.numbers[entry] = objectNumber;
    this.bases[entry] = baseNumber;
  };
}

/** @returns The same objects; `read` throws a CorruptPackError for one that is not what its id says. */
function verifiedObjects(objects: PackedObjects): PackedObjects {
  return {
    packs: objects.packs,
    objectCount: objects.objectCount,
    history: objects.history,
    slices: objects.slices,
    find: (idBytes, start) => objects.find(idBytes, start),
    findId: (id) => objects.findId(id),
    objectId: (objectNumber) => objects.objectId(objectNumber),
    readType: (objectNumber) => objects.readType(objectNumber),
    readSize: (objectNumber) => objects.readSize(objectNumber),
    readAhead: (objectNumbers) => objects.readAhead(objectNumbers),
    read: async (objectNumber) => {
      const object = await objects.read(objectNumber);
      const { type, bytes } = object;
      const digest = createHash("sha1").update(`${type} ${bytes.length}\0`).update(bytes).digest();
      const id = objects.objectId(objectNumber);
      if (objectIdAt(digest, 0) !== id)
        throw new CorruptPackError("object is not what its id says", { id, type });
      return object;
    },
  };
}
