/**
 * What a client asks of a git server for a pack, in one round: all wants, all haves, `done`.
 * Source: gitprotocol-v2(5), "fetch"; gitprotocol-pack(5), "Packfile Negotiation".
 */
import type { ObjectId } from "../object-id.ts";
import { concatBytes, DELIM_PKT, encodePktLine, FLUSH_PKT } from "../pktline.ts";

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
  return concatBytes([
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
  return concatBytes([
    ...wants.map((id, i) => encodePktLine(i === 0 ? `want ${id} ${capabilities}\n` : `want ${id}\n`)),
    FLUSH_PKT,
    ...haves.map((id) => encodePktLine(`have ${id}\n`)),
    encodePktLine("done\n"),
  ]);
}
