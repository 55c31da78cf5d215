/** Downloads files in parallel by ranges; a connection that breaks continues where it broke. */
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { UpstreamError } from "../../../lib/errors.ts";
import { writeAt } from "../../../lib/indexer/write-at.ts";
import { bodyOf, type HttpClient, MAX_CONNECTIONS } from "./http-client.ts";

export interface RemoteFile {
  readonly path: string;
  readonly bytes: number;
  /** Asked for before each request: addresses expire. */
  readonly url: () => string;
}

export interface DownloadOptions {
  readonly client: HttpClient;
  /** Called when an address is not valid any more. @throws {UpstreamError} There is no new one. */
  readonly renew: () => Promise<void>;
  readonly onBytes: (bytes: number) => void;
}

const PIECE_BYTES = 16 * 1024 * 1024;

/** Tries in a row that bring nothing; with the pauses between them some 30 s. */
const MAX_FRUITLESS = 7;
const PAUSE_MS = 250;
/** A new address that is refused as well will not be better the next time. */
const MAX_RENEWALS = 2;

interface Piece {
  readonly file: RemoteFile;
  readonly handle: FileHandle;
  startBytes: number;
  readonly endBytes: number;
}

/** The address is not valid any more, or the file is gone. */
class ExpiredAddress extends UpstreamError {}

/** @throws {UpstreamError} A file could not be had. */
export async function downloadFiles(files: readonly RemoteFile[], options: DownloadOptions): Promise<void> {
  const handles: FileHandle[] = [];
  try {
    const pieces: Piece[] = [];
    for (const file of files) {
      const handle = await open(file.path, "wx", 0o444);
      handles.push(handle);
      for (let startBytes = 0; startBytes < file.bytes; startBytes += PIECE_BYTES)
        pieces.push({ file, handle, startBytes, endBytes: Math.min(file.bytes, startBytes + PIECE_BYTES) });
    }
    const left = pieces.values();
    const run = new AbortController();
    const worker = async () => {
      for (const piece of left) await downloadPiece(piece, run.signal, options);
    };
    const workers = Array.from({ length: MAX_CONNECTIONS }, () =>
      worker().catch((error: unknown) => {
        run.abort();
        throw error;
      }),
    );
    const failed = (await Promise.allSettled(workers)).find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
  } finally {
    await Promise.all(handles.map((handle) => handle.close()));
  }
}

async function downloadPiece(piece: Piece, signal: AbortSignal, options: DownloadOptions): Promise<void> {
  let fruitless = 0;
  let renewals = 0;
  while (piece.startBytes < piece.endBytes && !signal.aborted) {
    const beforeBytes = piece.startBytes;
    try {
      await continuePiece(piece, signal, options);
    } catch (error) {
      if (!(error instanceof UpstreamError && error.retryable)) throw error;
      fruitless = piece.startBytes > beforeBytes ? 0 : fruitless + 1;
      if (fruitless >= MAX_FRUITLESS) throw error;
      await pause(Math.min(10_000, PAUSE_MS * 2 ** fruitless));
      if (!(error instanceof ExpiredAddress)) continue;
      renewals += 1;
      if (renewals > MAX_RENEWALS) throw error;
      await options.renew();
    }
  }
}

async function continuePiece(
  piece: Piece,
  signal: AbortSignal,
  { client, onBytes }: DownloadOptions,
): Promise<void> {
  const { file, handle, endBytes } = piece;
  const range = `bytes=${piece.startBytes}-${endBytes - 1}`;
  const response = await client.get(file.url(), { range });
  try {
    assertRange(response.statusCode ?? 0, response.headers["content-range"], piece);
    for await (const chunk of bodyOf(response)) {
      if (signal.aborted) return;
      if (chunk.length > endBytes - piece.startBytes) throw otherFile("more bytes than asked for");
      await writeAt(handle, chunk, piece.startBytes);
      piece.startBytes += chunk.length;
      onBytes(chunk.length);
    }
  } finally {
    response.destroy();
  }
  if (piece.startBytes < endBytes) throw new UpstreamError("the download was cut", { retryable: true });
}

function assertRange(
  status: number,
  contentRange: string | undefined,
  { file, startBytes, endBytes }: Piece,
): void {
  const isWhole = status === 200 && startBytes === 0 && endBytes === file.bytes;
  if (isWhole || (status === 206 && contentRange === `bytes ${startBytes}-${endBytes - 1}/${file.bytes}`))
    return;
  if (status === 401 || status === 403 || status === 404)
    throw new ExpiredAddress(`the store answered ${status}`, { retryable: true, status });
  if (status === 429 || status >= 500)
    throw new UpstreamError(`the store answered ${status}`, { retryable: true, status });
  throw otherFile(`status ${status}, ${contentRange ?? "no range"}`);
}

function otherFile(why: string): UpstreamError {
  return new UpstreamError(`the store answers with another file: ${why}`, { retryable: false });
}
