/**
 * Copies one file from the primary's storage: its bytes go to the store as they arrive, and become visible only once their
 * SHA-256 is the oid. A connection that breaks is opened again where it broke.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { LfsAction, LfsEntry } from "../bitbucket/lfs-batch.ts";
import {
  afterCleanUp,
  assertNotStopped,
  LimitExceededError,
  StoppedError,
  UpstreamError,
} from "../errors.ts";
import { lfsFileKey } from "../repo/layout.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { inLargeChunks } from "./large-chunks.ts";
import type { LfsPrimary } from "./ports.ts";

export interface CopyFileOptions {
  readonly store: BlobStore;
  readonly primary: LfsPrimary;
  readonly signal: AbortSignal;
  /** Without a byte for so long, a connection is given up. */
  readonly idleTimeoutMs?: number;
  /** Of a chunk, if less than 512 KiB. */
  readonly chunkBytes?: number;
  readonly onBytes?: (bytes: number) => void;
}

const IDLE_TIMEOUT_MS = 60_000;
/** A download that breaks is opened again after 0.1 s, then after twice as long each time; with progress it begins anew. */
const FIRST_PAUSE_MS = 100;
const MIN_PROGRESS_BYTES = 64 * 1024;
const MAX_BREAKS = 4;
const MAX_BREAKS_IN_ALL = 100;
/** If the storage asks for more, the job is put off. */
const MAX_RETRY_AFTER_SECONDS = 10;
/** What a storage says to a link that has expired. */
const EXPIRED: ReadonlySet<unknown> = new Set([401, 403, 404, 410]);

/** The download that an entry offers, if it does. */
export function downloadOf({ actions }: LfsEntry): LfsAction | undefined {
  return actions?.download ?? undefined;
}

/**
 * @param maxBytes - More is refused, whatever was declared.
 * @returns The file's size. Nothing is visible in the store unless it returns.
 * @throws {UpstreamError} The storage fails, or what it sends is another file. @throws {StoppedError} And what the store throws.
 */
export function copyLfsFile(entry: LfsEntry, maxBytes: number, options: CopyFileOptions): Promise<number> {
  return storeVerified({ oid: entry.oid, maxBytes }, downloadLfsFile(entry, 0, options), options);
}

/** Writes `chunks` under their oid, if that is what they are. Else and where they break, nothing is visible. */
export async function storeVerified(
  { oid, maxBytes }: { readonly oid: string; readonly maxBytes: number },
  chunks: AsyncIterable<Uint8Array>,
  { store, signal }: Pick<CopyFileOptions, "store" | "signal">,
): Promise<number> {
  const sha256 = createHash("sha256");
  let sizeBytes = 0;
  const upload = await store.startUpload(lfsFileKey(oid));
  try {
    for await (const chunk of chunks) {
      assertNotStopped(signal);
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes)
        throw new LimitExceededError("an LFS file is larger than was declared", { oid, maxBytes });
      sha256.update(chunk);
      await upload.write(chunk);
    }
    const digest = sha256.digest("hex");
    if (digest !== oid)
      throw new UpstreamError("an LFS file has other bytes than its oid says", {
        retryable: true,
        oid,
        digest,
        sizeBytes,
      });
    assertNotStopped(signal);
    await upload.complete();
    return sizeBytes;
  } catch (error) {
    throw await afterCleanUp(signal.aborted ? stopped(signal) : error, () => upload.abort());
  }
}

function stopped(signal: AbortSignal): StoppedError {
  return new StoppedError("stopped while an LFS file was copied", { cause: signal.reason });
}

/**
 * The file from `startBytes` on, opened again where it breaks; with a new link where the old one has expired.
 * Chunks are valid until the next is asked for.
 */
export async function* downloadLfsFile(
  first: LfsEntry,
  startBytes: number,
  options: CopyFileOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { oid } = first;
  const sizeBytes = first.size ?? 0;
  const { signal } = options;
  const breaks = new Breaks(startBytes);
  let action = downloadOf(first);
  let doneBytes = startBytes;
  let isNewLink = false;
  for (;;) {
    if (action === undefined)
      throw new UpstreamError("the primary offers no download", { retryable: true, oid });
    let failure: unknown;
    try {
      const maxBytes = Math.min(options.chunkBytes ?? Number.POSITIVE_INFINITY, Math.max(1, sizeBytes));
      for await (const chunk of downloadFrom(action, doneBytes, maxBytes, options)) {
        doneBytes += chunk.length;
        isNewLink = false;
        options.onBytes?.(chunk.length);
        yield chunk;
      }
      if (doneBytes >= sizeBytes) return;
    } catch (error) {
      failure = error;
    }
    // It ends here: what was declared is longer than the file.
    if (doneBytes > 0 && statusOf(failure) === 416) return;
    const isRefused = EXPIRED.has(statusOf(failure));
    if (signal.aborted || (isRefused && isNewLink)) throw failure;
    const pauseMs = breaks.add(doneBytes, failure);
    if (pauseMs === undefined) {
      // It ends without an error each time: the hash says whether that is all.
      if (failure === undefined) return;
      throw failure;
    }
    await sleep(pauseMs, undefined, { signal });
    isNewLink = isRefused;
    if (isRefused) action = await newAction(first, options);
  }
}

class Breaks {
  #lastBytes: number;
  #withoutProgress = 0;
  #inAll = 0;

  constructor(startBytes: number) {
    this.#lastBytes = startBytes;
  }

  /** @returns How long to wait until the next try; `undefined`: no more tries. */
  add(doneBytes: number, failure: unknown): number | undefined {
    if (doneBytes - this.#lastBytes >= MIN_PROGRESS_BYTES) this.#withoutProgress = 0;
    this.#lastBytes = doneBytes;
    this.#withoutProgress += 1;
    this.#inAll += 1;
    const { retryAfterSeconds = 0 } = failure instanceof UpstreamError ? failure : {};
    if (this.#withoutProgress > MAX_BREAKS || this.#inAll > MAX_BREAKS_IN_ALL) return undefined;
    if (retryAfterSeconds > MAX_RETRY_AFTER_SECONDS) return undefined;
    return Math.max(retryAfterSeconds * 1000, FIRST_PAUSE_MS * 2 ** (this.#withoutProgress - 1));
  }
}

function statusOf(error: unknown): unknown {
  return error instanceof UpstreamError ? error.context["status"] : undefined;
}

async function newAction(
  { oid, size }: LfsEntry,
  { primary, signal }: CopyFileOptions,
): Promise<LfsAction | undefined> {
  const entry = (await primary.ask([{ oid, sizeBytes: size ?? 1 }], signal)).get(oid);
  return entry && downloadOf(entry);
}

async function* downloadFrom(
  action: LfsAction,
  offsetBytes: number,
  maxBytes: number,
  { primary, signal, idleTimeoutMs = IDLE_TIMEOUT_MS }: CopyFileOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const silence = new AbortController();
  let isSilent = true;
  const timer = setTimeout(() => isSilent && silence.abort(), idleTimeoutMs);
  try {
    const { body, startBytes } = await primary.open(
      action,
      offsetBytes,
      AbortSignal.any([signal, silence.signal]),
    );
    // A storage without ranges sends it all again.
    let passedBytes = startBytes;
    for await (const chunk of inLargeChunks(body, { maxBytes, onBytes: () => timer.refresh() })) {
      const skippedBytes = Math.min(chunk.length, Math.max(0, offsetBytes - passedBytes));
      passedBytes += chunk.length;
      // While the store is slow, silence is not the storage's.
      isSilent = false;
      if (skippedBytes < chunk.length) yield chunk.subarray(skippedBytes);
      isSilent = true;
      timer.refresh();
    }
  } catch (error) {
    if (error instanceof UpstreamError || signal.aborted) throw error;
    throw new UpstreamError("the download of an LFS file broke", { retryable: true, cause: error });
  } finally {
    clearTimeout(timer);
  }
}
