/**
 * Haves in, acknowledgments out: nothing is written here, the lines are data.
 * Source: gitprotocol-v2(5), "fetch", output; gitprotocol-pack(5), "Packfile Negotiation".
 */
import type { ObjectId } from "../object-id.ts";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { CommonHaves } from "./common-haves.ts";
import type { FetchRequest, FetchRequestV0 } from "./fetch-request.ts";

export interface Negotiation {
  /** What goes out before the pack. */
  readonly lines: readonly Uint8Array[];
  /** Whether a pack follows; else the client comes again with more haves. */
  readonly sendsPack: boolean;
}

/** @param haves - Empty; gets what is common. */
export async function negotiateV2(request: FetchRequest, haves: CommonHaves): Promise<Negotiation> {
  const acknowledged: ObjectId[] = [];
  for (const id of request.haves) if (await haves.add(id)) acknowledged.push(id);
  if (request.isDone || request.haves.length === 0) return { lines: [], sendsPack: true };
  const lines = [encodePktLine("acknowledgments\n")];
  if (acknowledged.length === 0) lines.push(encodePktLine("NAK\n"));
  for (const id of acknowledged) lines.push(encodePktLine(`ACK ${id}\n`));
  const isReady = request.wants.length > 0 && !request.waitForDone && (await haves.isEnough());
  if (isReady) lines.push(encodePktLine("ready\n"), DELIM_PKT);
  else lines.push(FLUSH_PKT);
  return { lines, sendsPack: isReady };
}

/** @param haves - Empty; gets what is common. */
export async function negotiateV0(request: FetchRequestV0, haves: CommonHaves): Promise<Negotiation> {
  const lines: Uint8Array[] = [];
  const say = (text: string): void => void lines.push(encodePktLine(`${text}\n`));
  const { multiAck } = request;
  let lastCommonId: ObjectId | undefined;
  let hasForeign = false;
  let isReady = false;
  for (const id of request.haves) {
    if (await haves.add(id)) {
      if (multiAck !== "none") say(`ACK ${id} ${multiAck === "detailed" ? "common" : "continue"}`);
      // A have that is a parent of the one before does not count in git, so it acknowledges another one.
      else if (haves.distinctCount === 1) say(`ACK ${id}`);
      lastCommonId = id;
    } else {
      hasForeign = true;
      if (multiAck === "none" || !(await haves.isEnough())) continue;
      say(`ACK ${id} ${multiAck === "detailed" ? "ready" : "continue"}`);
      isReady ||= multiAck === "detailed";
    }
  }
  if (request.isDone) {
    if (lastCommonId === undefined) say("NAK");
    else if (multiAck !== "none") say(`ACK ${lastCommonId}`);
    return { lines, sendsPack: true };
  }
  if (multiAck === "detailed" && lastCommonId !== undefined && !hasForeign && (await haves.isEnough())) {
    say(`ACK ${lastCommonId} ready`);
    isReady = true;
  }
  if (lastCommonId === undefined || multiAck !== "none") say("NAK");
  const sendsPack = request.noDone && isReady && lastCommonId !== undefined;
  if (sendsPack) say(`ACK ${lastCommonId}`);
  return { lines, sendsPack };
}
