/**
 * Copies a file that may take longer than a process has: its bytes are kept as parts, and the next try continues after the
 * last one. When all are there they are read back, hashed, and become the file if they are what the oid says. Where the first part
 * shows that the rest takes a short time, it follows without becoming parts, unless an earlier try was ended before.
 *
 * Parts are `lfs-parts/<oid>/<offset>-<random>`, the offset with 15 digits, of any size, and never overwritten; those of an
 * older release have no random end. Processes that stage the same file at once use each other's: what counts is a row of
 * parts without gaps, and only the hash decides whether it is the file.
 */
import { randomBytes } from "node:crypto";
import type { LfsEntry } from "../bitbucket/lfs-batch.ts";
import {
  afterCleanUp,
  assertNotStopped,
  LimitExceededError,
  StoppedError,
  UnfinishedError,
  UpstreamError,
} from "../errors.ts";
import { lfsPartFolder } from "../repo/layout.ts";
import type { BlobStore, BlobUpload } from "../store/blob-store.ts";
import { type CopyFileOptions, downloadLfsFile, storeVerified } from "./copy-file.ts";

export type LfsStaging = Readonly<typeof DEFAULT_LFS_STAGING>;

/** At 1 MB/s a file below the limit takes four minutes: a function has fifteen. A killed process loses one part, or two minutes. */
export const DEFAULT_LFS_STAGING = {
  /** Larger files are staged. */
  aboveBytes: 256 * 2 ** 20,
  partBytes: 64 * 2 ** 20,
  /** What takes less is not staged. */
  shortSeconds: 120,
};

interface StagedFile {
  readonly entry: LfsEntry;
  /** As the primary says. */
  readonly sizeBytes: number;
  /** More is refused. */
  readonly maxBytes: number;
  readonly staging: LfsStaging;
}

/**
 * Result and errors as of `copyLfsFile`.
 * @throws {UnfinishedError} Stopped, after further bytes were stored.
 */
export async function copyStagedLfsFile(file: StagedFile, options: CopyFileOptions): Promise<number> {
  const { oid } = file.entry;
  const { store } = options;
  const parts = await storedParts(store, oid);
  const before = endOf(parts);
  try {
    const rest = before < file.sizeBytes ? await stage(file, parts, options) : undefined;
    const sizeBytes = await storeVerified({ ...file, oid }, wholeFile(store, parts, rest), options);
    await removeLfsParts(store, oid);
    return sizeBytes;
  } catch (error) {
    const stagedBytes = endOf(parts);
    if (error instanceof StoppedError && stagedBytes > before)
      throw new UnfinishedError("stopped while an LFS file was staged", { oid, stagedBytes, cause: error });
    if (!isWrong(error)) throw error;
    const failure = await afterCleanUp(error, () => removeLfsParts(store, oid));
    // What is wrong may be a part of an earlier try: it is no evidence against the primary's file.
    if (before > 0) return copyStagedLfsFile(file, options);
    throw failure;
  }
}

function isWrong(error: unknown): boolean {
  if (error instanceof LimitExceededError) return true;
  return error instanceof UpstreamError && error.context["digest"] !== undefined;
}

export async function removeLfsParts(store: BlobStore, oid: string): Promise<void> {
  for await (const { key } of store.list(lfsPartFolder(oid))) await store.delete(key);
}

interface Part {
  readonly key: string;
  readonly endBytes: number;
}

function endOf(parts: readonly Part[]): number {
  return parts.at(-1)?.endBytes ?? 0;
}

/** @returns Parts that follow each other from 0 on, as far as any do. */
async function storedParts(store: BlobStore, oid: string): Promise<Part[]> {
  const folder = lfsPartFolder(oid);
  const rowsByEnd = new Map<number, Part[]>([[0, []]]);
  let longest: Part[] = [];
  for await (const { key, sizeBytes } of store.list(folder)) {
    const row = rowsByEnd.get(Number(/^\d{15}/.exec(key.slice(folder.length))?.[0]));
    if (row === undefined) continue;
    const longer = [...row, { key, endBytes: endOf(row) + sizeBytes }];
    rowsByEnd.set(endOf(longer), longer);
    if (endOf(longer) > endOf(longest)) longest = longer;
  }
  return longest;
}

/**
 * Downloads what is not staged, and adds it to `parts`. What arrived before a break or a stop is kept as well.
 * @returns The rest, if it is not staged.
 */
async function stage(
  file: StagedFile,
  parts: Part[],
  options: CopyFileOptions,
): Promise<AsyncGenerator<Uint8Array> | undefined> {
  const { entry, maxBytes, staging } = file;
  const { partBytes } = staging;
  const isFirstTry = parts.length === 0;
  const startedMs = performance.now();
  const part = new PartWriter(options.store, entry.oid, parts);
  const chunks = downloadLfsFile(entry, endOf(parts), { ...options, chunkBytes: partBytes });
  try {
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      const chunk = next.value;
      if (part.endBytes + chunk.length > maxBytes)
        throw new LimitExceededError("an LFS file is larger than was declared", {
          oid: entry.oid,
          maxBytes,
        });
      await part.write(chunk);
      assertNotStopped(options.signal);
      if (part.sizeBytes < partBytes) continue;
      await part.complete();
      const leftSeconds = ((performance.now() - startedMs) / 1000) * (file.sizeBytes / endOf(parts) - 1);
      if (isFirstTry && leftSeconds < staging.shortSeconds) return chunks;
    }
    await part.complete();
    return undefined;
  } catch (error) {
    const isKept = options.signal.aborted || error instanceof UpstreamError;
    const failure = options.signal.aborted
      ? new StoppedError("stopped while an LFS file was staged", { cause: error })
      : error;
    throw await afterCleanUp(failure, async () => {
      await chunks.return();
      await (isKept ? part.complete() : part.abort());
    });
  }
}

class PartWriter {
  readonly #store: BlobStore;
  readonly #folder: string;
  readonly #parts: Part[];
  #upload: BlobUpload | undefined;
  #key = "";
  /** Of the part that is being written. */
  sizeBytes = 0;

  constructor(store: BlobStore, oid: string, parts: Part[]) {
    this.#store = store;
    this.#folder = lfsPartFolder(oid);
    this.#parts = parts;
  }

  get endBytes(): number {
    return endOf(this.#parts) + this.sizeBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#upload === undefined) {
      // Another process may write from the same offset on, with another end.
      const offset = String(endOf(this.#parts)).padStart(15, "0");
      this.#key = `${this.#folder}${offset}-${randomBytes(8).toString("hex")}`;
      this.#upload = await this.#store.startUpload(this.#key);
    }
    await this.#upload.write(chunk);
    this.sizeBytes += chunk.length;
  }

  async complete(): Promise<void> {
    const part = { key: this.#key, endBytes: this.endBytes };
    const upload = this.#upload;
    this.#upload = undefined;
    if (this.sizeBytes > 0) {
      await upload?.complete();
      this.sizeBytes = 0;
      this.#parts.push(part);
    } else await upload?.abort();
  }

  async abort(): Promise<void> {
    await this.#upload?.abort();
  }
}

async function* wholeFile(
  store: BlobStore,
  parts: readonly Part[],
  rest: AsyncGenerator<Uint8Array> | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for (const { key } of parts) yield* store.streamWhole(key);
    if (rest !== undefined) yield* rest;
  } finally {
    await rest?.return(undefined);
  }
}
