/**
 * Copies one file from the primary's storage: its bytes go to the store as they arrive, and become visible only once their
 * SHA-256 is the oid. A connection that breaks is opened again where it broke.
 */
import { createHash } from "node:crypto";
import type { LfsAction, LfsEntry } from "../bitbucket/lfs-client.ts";
import {
  afterCleanUp,
  assertNotStopped,
  LimitExceededError,
  StoppedError,
  UpstreamError,
} from "../errors.ts";
import { lfsFileKey } from "../repo/layout.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { LfsPrimary } from "./ports.ts";

export interface CopyFileOptions {
  readonly store: BlobStore;
  readonly primary: LfsPrimary;
  readonly signal: AbortSignal;
  /** Without a byte for so long, a connection is given up. */
  readonly idleTimeoutMs?: number;
  readonly onBytes?: (bytes: number) => void;
}

const IDLE_TIMEOUT_MS = 60_000;
/** How often a download is opened again without a byte in between. */
const MAX_BREAKS_WITHOUT_PROGRESS = 3;
/** What a storage says to a link that has expired. */
const EXPIRED: ReadonlySet<unknown> = new Set([401, 403, 404, 410]);

/** The download that an entry offers, if it does. */
export function downloadOf({ actions }: LfsEntry): LfsAction | undefined {
  return actions?.download ?? undefined;
}

/**
 * @param maxBytes - More is refused, whatever was announced.
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
        throw new LimitExceededError("an LFS file is larger than was announced", { oid, maxBytes });
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

/** The file from `startBytes` on, opened again where it breaks; with a new link where the old one has expired. */
export async function* downloadLfsFile(
  first: LfsEntry,
  startBytes: number,
  options: CopyFileOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let action = downloadOf(first);
  let doneBytes = startBytes;
  let breaks = 0;
  for (;;) {
    if (action === undefined)
      throw new UpstreamError("the primary offers no download", { retryable: true, oid: first.oid });
    try {
      for await (const chunk of downloadFrom(action, doneBytes, options)) {
        doneBytes += chunk.length;
        breaks = 0;
        options.onBytes?.(chunk.length);
        yield chunk;
      }
      return;
    } catch (error) {
      // It ends here: what was announced is longer than the file.
      if (doneBytes > 0 && statusOf(error) === 416) return;
      breaks += 1;
      if (options.signal.aborted || breaks > MAX_BREAKS_WITHOUT_PROGRESS) throw error;
      if (EXPIRED.has(statusOf(error))) action = await newAction(first, options);
    }
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
  { primary, signal, idleTimeoutMs = IDLE_TIMEOUT_MS }: CopyFileOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), idleTimeoutMs);
  try {
    const { body, startBytes } = await primary.open(
      action,
      offsetBytes,
      AbortSignal.any([signal, silence.signal]),
    );
    // A storage without ranges sends it all again.
    let passedBytes = startBytes;
    for await (const chunk of body) {
      const skippedBytes = Math.min(chunk.length, Math.max(0, offsetBytes - passedBytes));
      passedBytes += chunk.length;
      // While the store is slow, silence is not the storage's.
      clearTimeout(timer);
      if (skippedBytes < chunk.length) yield chunk.subarray(skippedBytes);
      timer = setTimeout(() => silence.abort(), idleTimeoutMs);
    }
  } catch (error) {
    if (error instanceof UpstreamError || signal.aborted) throw error;
    throw new UpstreamError("the download of an LFS file broke", { retryable: true, cause: error });
  } finally {
    clearTimeout(timer);
  }
}
