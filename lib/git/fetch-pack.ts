/**
 * The client's side of a fetch, for the primary: what it asks for, in one round of all wants, all haves and `done`, and the
 * pack out of the answer's framing.
 * Source: gitprotocol-v2(5), "fetch"; gitprotocol-pack(5), "Packfile Negotiation", "Packfile Data".
 */
import { ProtocolError, UnsupportedRepositoryError, UpstreamError } from "../errors.ts";
import type { ObjectId } from "./object-id.ts";
import { DELIM_PKT, encodePktLine, FLUSH_PKT, pktMessage } from "./pktline.ts";
import { type PktLine, PktLineReader } from "./pktline-reader.ts";
import { BAND, decodeBandPacket } from "./sideband.ts";

export interface FetchPackRequest {
  /** At least one. */
  readonly wants: readonly ObjectId[];
  /** What this side has, with everything reachable from it. */
  readonly haves: readonly ObjectId[];
  /** As `git fetch --filter` takes it; of version 2 only. */
  readonly filter?: string;
  /** Name and version of this client, without spaces. */
  readonly agent: string;
}

/** The body of `POST git-upload-pack` with `Git-Protocol: version=2`. */
export function encodeFetchRequestV2({ wants, haves, filter, agent }: FetchPackRequest): Uint8Array {
  return Buffer.concat([
    encodePktLine("command=fetch\n"),
    encodePktLine(`agent=${agent}\n`),
    DELIM_PKT,
    encodePktLine("thin-pack\n"),
    encodePktLine("ofs-delta\n"),
    ...(filter === undefined ? [] : [encodePktLine(`filter ${filter}\n`)]),
    ...wants.map((id) => encodePktLine(`want ${id}\n`)),
    ...haves.map((id) => encodePktLine(`have ${id}\n`)),
    encodePktLine("done\n"),
    FLUSH_PKT,
  ]);
}

/** The same for a server that speaks only the original protocol. Every server since 2007 has these capabilities. */
export function encodeFetchRequestV0({ wants, haves, agent }: FetchPackRequest): Uint8Array {
  const capabilities = `side-band-64k ofs-delta thin-pack agent=${agent}`;
  return Buffer.concat([
    ...wants.map((id, i) => encodePktLine(i === 0 ? `want ${id} ${capabilities}\n` : `want ${id}\n`)),
    FLUSH_PKT,
    ...haves.map((id) => encodePktLine(`have ${id}\n`)),
    encodePktLine("done\n"),
  ]);
}

/** The repository lacks history, so a mirror of it could not be checked. */
export const SHALLOW_PRIMARY =
  "the repository is itself a shallow clone; Nearside mirrors whole histories only (git fetch --unshallow makes it one)";

const decoder = new TextDecoder();

export interface ReadFetchResponseOptions {
  /** How the request was encoded. */
  readonly protocol: 0 | 2;
  /** Gets the server's progress text, in pieces that need not be whole lines. */
  readonly onProgress?: ((text: string) => void) | undefined;
}

/**
 * Yields the pack's bytes as they arrive; at most one packet is held. Ending the iteration early frees the connection.
 * @param body - The response to a request that ended with `done`.
 * @throws {UnsupportedRepositoryError} The server's repository is shallow.
 * @throws {UpstreamError} The server reported an error, the answer was cut, or it is not an answer to a fetch.
 */
export async function* readFetchResponse(
  body: AsyncIterable<Uint8Array>,
  { protocol, onProgress }: ReadFetchResponseOptions,
): AsyncGenerator<Uint8Array, void> {
  const reader = new PktLineReader(body);
  try {
    let line = protocol === 2 ? await skipToPackfileSection(reader) : await skipAcknowledgments(reader);
    for (; line.kind === "data"; line = await reader.next()) {
      const { band, payload } = decodeBandPacket(line.payload);
      if (band === BAND.pack) {
        if (payload.length > 0) yield payload;
      } else if (band === BAND.progress) onProgress?.(decoder.decode(payload));
      else throw new UpstreamError(`the primary failed: ${pktMessage(payload)}`, { retryable: true });
    }
    if (line.kind !== "flush") {
      throw new UpstreamError("the primary's answer was cut", { retryable: true, lastLine: line.kind });
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new UpstreamError(`the primary's answer is broken: ${error.message}`, {
      retryable: true,
      cause: error,
    });
  } finally {
    await reader.close();
  }
}

/** @returns The line after the one that opens the `packfile` section. */
async function skipToPackfileSection(reader: PktLineReader): Promise<PktLine> {
  for (;;) {
    const line = await reader.next();
    if (line.kind === "delim") continue;
    if (line.kind !== "data") throw unexpected(line);
    const text = pktMessage(line.payload);
    if (text === "packfile") return reader.next();
    throwIfError(text);
    // This client asks for no cut, so the repository itself has one.
    if (text.startsWith("shallow ")) throw new UnsupportedRepositoryError(SHALLOW_PRIMARY);
    // A line of another section, such as acknowledgments: nothing that this client acts on.
  }
}

/** @returns The first line that is not an acknowledgment. */
async function skipAcknowledgments(reader: PktLineReader): Promise<PktLine> {
  for (;;) {
    const line = await reader.next();
    if (line.kind !== "data") throw unexpected(line);
    const firstByte = line.payload[0];
    if (firstByte === BAND.pack || firstByte === BAND.progress || firstByte === BAND.fatal) return line;
    const text = pktMessage(line.payload);
    throwIfError(text);
    if (!/^(ACK|NAK)\b/.test(text)) {
      throw new ProtocolError("expected an acknowledgment", { text: text.slice(0, 80) });
    }
  }
}

function throwIfError(text: string): void {
  if (text.startsWith("ERR ")) {
    const refusal = text.slice(4);
    throw new UpstreamError(`the primary refused: ${refusal}`, { retryable: true, refusal });
  }
}

function unexpected(line: PktLine): ProtocolError {
  return new ProtocolError("the answer ended before its pack", { lastLine: line.kind });
}
