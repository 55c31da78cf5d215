/**
 * A blob store in a folder: blob `a/b` is the plain file `<root>/a/b`, so a copied prefix is what it looks like.
 *
 * A write goes to a file of its own under `.nearside/`, is flushed, and then renamed over the key: readers see the old bytes or the
 * new ones, whole, also when the writer is killed. Conditions are checked and renames done under one lock for the folder
 * (folder-lock.ts), which holds across processes of one machine and dies with its holder.
 *
 * A version is the file's modification time and size. Writers keep the time growing from one write of a key to the next, so no
 * two writes share a version, however coarse or wrong the clock is.
 */
import { randomUUID } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { type FileHandle, open, rename, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterCleanUp, NotFoundError, VersionConflictError } from "../errors.ts";
import { assertBlobKey, assertBlobPrefix, RESERVED_SEGMENT } from "./blob-key.ts";
import type {
  Blob,
  BlobInfo,
  BlobStore,
  BlobUpload,
  BlobVersion,
  ReadOptions,
  WriteCondition,
} from "./blob-store.ts";
import { assertRange, assertRangeInside, lengthUpToEnd } from "./byte-range.ts";
import { FileUpload } from "./file-upload.ts";
import { FILE_MODE, listFiles, makeFolder, unlessMissing } from "./folder.ts";
import { FolderLock } from "./folder-lock.ts";
import { FolderSyncs } from "./folder-syncs.ts";
import { sweepUnfinished, unfinishedName } from "./unfinished-writes.ts";

const STREAM_CHUNK_BYTES = 256 * 1024;

interface OpenFile {
  readonly file: FileHandle;
  readonly stats: BigIntStats;
}

export class FsBlobStore implements BlobStore {
  readonly #root: string;
  readonly #unfinishedFolder: string;
  readonly #lock: FolderLock;
  readonly #syncs = new FolderSyncs();
  #swept: Promise<unknown> | undefined;

  /** @param rootFolder - Made when first written to. */
  constructor(rootFolder: string) {
    this.#root = rootFolder;
    this.#unfinishedFolder = join(rootFolder, RESERVED_SEGMENT, "unfinished");
    this.#lock = new FolderLock(join(rootFolder, RESERVED_SEGMENT, "lock.sqlite"));
  }

  read(key: string, options?: ReadOptions): Promise<Blob> {
    return this.#withFile(key, options, async (file, stats) => ({
      bytes: await readExactly(file, key, 0, Number(stats.size)),
      version: versionOf(stats),
    }));
  }

  readIfChanged(key: string, knownVersion: BlobVersion, options?: ReadOptions): Promise<Blob | "unchanged"> {
    return this.#withFile(key, options, async (file, stats) => {
      const version = versionOf(stats);
      if (version === knownVersion) return "unchanged";
      return { bytes: await readExactly(file, key, 0, Number(stats.size)), version };
    });
  }

  readRange(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    return this.#withFile(key, options, async (file, { size }) => {
      assertRangeInside(key, offsetBytes, lengthBytes, Number(size));
      return readExactly(file, key, offsetBytes, lengthBytes);
    });
  }

  readUpTo(key: string, offsetBytes: number, maxBytes: number, options?: ReadOptions): Promise<Uint8Array> {
    return this.#withFile(key, options, async (file, { size }) =>
      readExactly(file, key, offsetBytes, lengthUpToEnd(key, offsetBytes, maxBytes, Number(size))),
    );
  }

  async *readStream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    { signal }: ReadOptions = {},
  ): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted();
    assertRange(key, offsetBytes, lengthBytes);
    const { file, stats } = await this.#openForReading(key);
    try {
      assertRangeInside(key, offsetBytes, lengthBytes, Number(stats.size));
      yield* chunksOf(file, key, { offsetBytes, endBytes: offsetBytes + lengthBytes, signal });
    } finally {
      await file.close();
    }
  }

  async *streamWhole(key: string, { signal }: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted();
    const { file, stats } = await this.#openForReading(key);
    try {
      yield* chunksOf(file, key, { offsetBytes: 0, endBytes: Number(stats.size), signal });
    } finally {
      await file.close();
    }
  }

  async write(key: string, bytes: Uint8Array, condition?: WriteCondition): Promise<BlobVersion> {
    const upload = await this.startUpload(key, condition);
    try {
      await upload.write(bytes);
      return await upload.complete();
    } catch (error) {
      throw await afterCleanUp(error, () => upload.abort());
    }
  }

  async startUpload(key: string, condition: WriteCondition = {}): Promise<BlobUpload> {
    assertBlobKey(key);
    this.#swept ??= sweepUnfinished(this.#unfinishedFolder);
    await this.#swept;
    await makeFolder(this.#unfinishedFolder);
    const path = join(this.#unfinishedFolder, unfinishedName(randomUUID()));
    const file = await open(path, "wx", FILE_MODE);
    return new FileUpload(file, {
      publish: async () => {
        const { version, persisted } = await this.#lock.run(() => this.#replace(key, path, file, condition));
        // Not under the lock: it takes a disk longer than all else, and many at once hardly longer than one.
        await persisted;
        return version;
      },
      discard: () => unlessMissing(unlink(path), undefined),
    });
  }

  async delete(key: string): Promise<void> {
    assertBlobKey(key);
    const path = join(this.#root, key);
    if ((await unlessMissing(stat(path), undefined)) === undefined) return;
    await this.#lock.run(async () => {
      await unlessMissing(unlink(path), undefined);
      await this.#removeEmptyFolders(dirname(path));
    });
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    assertBlobPrefix(prefix);
    for await (const key of listFiles(this.#root, prefix)) {
      const stats = await unlessMissing(stat(join(this.#root, key)), undefined);
      if (stats !== undefined && !key.startsWith(`${RESERVED_SEGMENT}/`)) {
        yield { key, sizeBytes: stats.size, modifiedAtMs: stats.mtimeMs };
      }
    }
  }

  /** Files that nothing was added to since then, of any key, and those whose writer has died. */
  async removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    assertBlobPrefix(prefix);
    return sweepUnfinished(this.#unfinishedFolder, startedBeforeMs);
  }

  /** Under the lock: puts the finished file in the key's place, if the condition holds. */
  async #replace(
    key: string,
    finishedPath: string,
    finishedFile: FileHandle,
    { ifVersion }: WriteCondition,
  ): Promise<{ readonly version: BlobVersion; readonly persisted: Promise<void> }> {
    const path = join(this.#root, key);
    const current = await unlessMissing(stat(path, { bigint: true }), undefined);
    const currentVersion = current === undefined ? "absent" : versionOf(current);
    if (ifVersion !== undefined && ifVersion !== currentVersion) {
      throw new VersionConflictError("blob has another version", { key, ifVersion });
    }
    const version = await stampAfter(finishedFile, current?.mtimeNs ?? 0n);
    const topMadeFolder = await makeFolder(dirname(path));
    await rename(finishedPath, path);
    return { version, persisted: this.#syncs.persist(dirname(path), topMadeFolder) };
  }

  /** Under the lock, so that no writer has just made the folder for its file. */
  async #removeEmptyFolders(folder: string): Promise<void> {
    for (let current = folder; current.length > this.#root.length; current = dirname(current)) {
      try {
        await rmdir(current);
      } catch {
        return; // not empty
      }
    }
  }

  async #withFile<Result>(
    key: string,
    { signal }: ReadOptions = {},
    use: (file: FileHandle, stats: BigIntStats) => Promise<Result>,
  ): Promise<Result> {
    signal?.throwIfAborted();
    const { file, stats } = await this.#openForReading(key);
    try {
      const result = await use(file, stats);
      signal?.throwIfAborted();
      return result;
    } finally {
      await file.close();
    }
  }

  async #openForReading(key: string): Promise<OpenFile> {
    assertBlobKey(key);
    const file = await unlessMissing(open(join(this.#root, key), "r"), undefined);
    if (file !== undefined) {
      const stats = await file.stat({ bigint: true });
      if (stats.isFile()) return { file, stats };
      await file.close();
    }
    throw new NotFoundError("blob not found", { key });
  }
}

function versionOf(stats: BigIntStats): BlobVersion {
  return `${stats.mtimeNs}-${stats.size}`;
}

/**
 * Sets a file's modification time to now, or to just after `previousNs` if that is not later.
 * The larger steps are for file systems that keep whole seconds, or every other one.
 */
async function stampAfter(file: FileHandle, previousNs: bigint): Promise<BlobVersion> {
  const nowUs = Math.floor((performance.timeOrigin + performance.now()) * 1000);
  const previousUs = Number(previousNs / 1000n);
  for (const stepUs of [10, 10_000, 2_000_000, 4_000_000]) {
    const timeSeconds = Math.max(nowUs, previousUs + stepUs) / 1_000_000;
    await file.utimes(timeSeconds, timeSeconds);
    const stats = await file.stat({ bigint: true });
    if (stats.mtimeNs > previousNs) return versionOf(stats);
  }
  throw new Error("the file system does not keep modification times");
}

async function* chunksOf(
  file: FileHandle,
  key: string,
  { offsetBytes, endBytes, signal }: ReadOptions & { offsetBytes: number; endBytes: number },
): AsyncGenerator<Uint8Array> {
  for (let position = offsetBytes; position < endBytes; position += STREAM_CHUNK_BYTES) {
    signal?.throwIfAborted();
    yield await readExactly(file, key, position, Math.min(STREAM_CHUNK_BYTES, endBytes - position));
  }
}

async function readExactly(
  file: FileHandle,
  key: string,
  offsetBytes: number,
  lengthBytes: number,
): Promise<Uint8Array> {
  // Not zeroed, as it is filled below.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(lengthBytes).buffer);
  let filledBytes = 0;
  while (filledBytes < lengthBytes) {
    const { bytesRead } = await file.read(
      bytes,
      filledBytes,
      lengthBytes - filledBytes,
      offsetBytes + filledBytes,
    );
    if (bytesRead === 0) throw new Error(`file of blob ${key} was cut while it was read`);
    filledBytes += bytesRead;
  }
  return bytes;
}
