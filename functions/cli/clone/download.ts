/** Downloads files in parallel by ranges; a connection that breaks continues where it broke. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { UpstreamError } from "../../../lib/errors.ts";
import { writeAt } from "../../../lib/indexer/write-at.ts";
import { bodyOf, type HttpClient, MAX_CONNECTIONS } from "./http-client.ts";
import type { PartialFolder } from "./partial-folder.ts";

export interface RemoteFile {
  readonly path: string;
  readonly bytes: number;
  /** Asked for before each request: addresses expire. */
  readonly url: () => string;
  /** Whether a later run may continue it: it never changes. */
  readonly isKept: boolean;
}

export interface DownloadOptions {
  readonly client: HttpClient;
  /** Called when an address is not valid any more. @throws {UpstreamError} There is no new one. */
  readonly renew: () => Promise<void>;
  readonly onBytes: (bytes: number) => void;
  /** Says what an earlier run has received, and notes what this one does. */
  readonly partial: PartialFolder;
}

const PIECE_BYTES = 16 * 1024 * 1024;
/** At most so much of a piece is downloaded again by a later run. */
const NOTED_BYTES = 1024 * 1024;

/** Tries in a row that bring nothing; with the pauses between them some 30 s. */
const MAX_FRUITLESS = 7;
const PAUSE_MS = 250;
/** A new address that is refused as well will not be better the next time. */
const MAX_RENEWALS = 2;

interface Piece {
  readonly file: RemoteFile;
  readonly handle: FileHandle;
  /** What is received of it. */
  startBytes: number;
  readonly endBytes: number;
  /** Records where it is. */
  note(): Promise<void>;
}

/** The address is not valid any more, or the file is gone. */
class ExpiredAddress extends UpstreamError {}

/** @throws {UpstreamError} A file could not be had. */
export async function downloadFiles(files: readonly RemoteFile[], options: DownloadOptions): Promise<void> {
  const handles: FileHandle[] = [];
  try {
    const pieces: Piece[] = [];
    for (const file of files) {
      const handle = await open(file.path, constants.O_RDWR | constants.O_CREAT);
      handles.push(handle);
      if (!file.isKept) await handle.truncate();
      const { size: storedBytes } = await handle.stat();
      for (let startBytes = 0; startBytes < file.bytes; startBytes += PIECE_BYTES)
        pieces.push(pieceOf({ file, handle, startBytes, storedBytes }, options));
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

interface PieceStart extends Pick<Piece, "file" | "handle" | "startBytes"> {
  /** Of the file, by an earlier run. */
  readonly storedBytes: number;
}

function pieceOf(
  { file, handle, startBytes, storedBytes }: PieceStart,
  { partial, onBytes }: DownloadOptions,
): Piece {
  const name = basename(file.path);
  const endBytes = Math.min(file.bytes, startBytes + PIECE_BYTES);
  const notedBytes = Math.min(endBytes, partial.receivedOf(name, startBytes));
  const receivedBytes = notedBytes <= storedBytes ? notedBytes : startBytes;
  onBytes(receivedBytes - startBytes);
  const note = async () => {
    if (file.isKept) await partial.note(name, startBytes, piece.startBytes);
  };
  const piece: Piece = { file, handle, startBytes: receivedBytes, endBytes, note };
  return piece;
}

async function downloadPiece(piece: Piece, signal: AbortSignal, options: DownloadOptions): Promise<void> {
  let fruitless = 0;
  let renewals = 0;
  while (piece.startBytes < piece.endBytes && !signal.aborted) {
    const beforeBytes = piece.startBytes;
    try {
      await continuePiece(piece, signal, options);
    } catch (error) {
      if (piece.startBytes > beforeBytes) await piece.note();
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
    let notedBytes = piece.startBytes;
    for await (const chunk of bodyOf(response)) {
      if (signal.aborted) break;
      if (chunk.length > endBytes - piece.startBytes) throw otherFile("more bytes than asked for");
      await writeAt(handle, chunk, piece.startBytes);
      piece.startBytes += chunk.length;
      onBytes(chunk.length);
      if (piece.startBytes - notedBytes < NOTED_BYTES) continue;
      await piece.note();
      notedBytes = piece.startBytes;
    }
    await piece.note();
    if (signal.aborted) return;
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
