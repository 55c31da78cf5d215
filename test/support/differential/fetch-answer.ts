/** What a server's bytes say in answer to a request for a pack. */
import { decodePktLine, pktText } from "../../../lib/git/pktline.ts";
import type { FetchCase } from "./fetch-case.ts";

export interface Acknowledgment {
  readonly id: string;
  /** `common`, `ready`, `continue` or empty. */
  readonly status: string;
}

export interface FetchAnswer {
  /** What the server complained of. */
  error?: string;
  readonly acks: Acknowledgment[];
  isReady: boolean;
  /** `shallow <id>` and `unshallow <id>`, sorted, each once. */
  shallowInfo: string[];
  /** `<id> <name>`. */
  wantedRefs: string[];
  /** Absent if the server wants to hear more first. */
  pack?: Uint8Array;
  progress: string;
  longestPacketBytes: number;
  /** The mirror's: from recent objects alone. */
  isFromRecent?: boolean;
}

export function parseFetchAnswer(bytes: Uint8Array, fetchCase: FetchCase): FetchAnswer {
  const answer: FetchAnswer = {
    acks: [],
    isReady: false,
    shallowInfo: [],
    wantedRefs: [],
    progress: "",
    longestPacketBytes: 0,
  };
  const packets = new PacketCursor(bytes, answer);
  try {
    if (fetchCase.protocol === 2) parseV2(packets, answer, fetchCase.capabilities.has("sideband-all"));
    else parseV0(packets, answer, fetchCase);
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error;
    answer.error = error.message;
  }
  answer.shallowInfo = [...new Set(answer.shallowInfo)].sort();
  answer.wantedRefs.sort();
  return answer;
}

/** The server said so, or its bytes make no sense. */
class AnswerError extends Error {}

type Packet =
  | { readonly kind: "flush" | "delim" | "end" }
  | { readonly kind: "data"; readonly payload: Uint8Array };

class PacketCursor {
  readonly #answer: FetchAnswer;
  #rest: Uint8Array;

  constructor(bytes: Uint8Array, answer: FetchAnswer) {
    this.#rest = bytes;
    this.#answer = answer;
  }

  get rest(): Uint8Array {
    return this.#rest;
  }

  next(): Packet {
    if (this.#rest.length === 0) return { kind: "end" };
    const decoded = decodePktLine(this.#rest);
    if (decoded.kind === "incomplete") throw new AnswerError("the answer ended inside a packet");
    if (decoded.kind === "response-end") throw new AnswerError("unexpected response-end packet");
    this.#rest = this.#rest.subarray(decoded.bytesConsumed);
    if (decoded.kind !== "data") return { kind: decoded.kind };
    if (pktText(decoded.payload.subarray(0, 4)) === "ERR ") throw new AnswerError(pktText(decoded.payload));
    return decoded;
  }

  /** The payload of the next packet on band 1; `undefined` at a flush or delimiter. */
  nextBand(): Packet {
    for (;;) {
      const packet = this.next();
      if (packet.kind !== "data") return packet;
      const [band] = packet.payload;
      const payload = packet.payload.subarray(1);
      this.#answer.longestPacketBytes = Math.max(this.#answer.longestPacketBytes, packet.payload.length + 4);
      if (band === 1) return { kind: "data", payload };
      if (band === 2) this.#answer.progress += pktText(payload);
      else if (band === 3) throw new AnswerError(`band 3: ${pktText(payload)}`);
      else
        throw new AnswerError(`unexpected packet ${JSON.stringify(pktText(packet.payload)).slice(0, 100)}`);
    }
  }
}

function parseV2(packets: PacketCursor, answer: FetchAnswer, isSidebandAll: boolean): void {
  const next = () => (isSidebandAll ? packets.nextBand() : packets.next());
  for (let packet = next(); packet.kind === "data"; packet = next()) {
    const section = pktText(packet.payload);
    if (section === "packfile") {
      answer.pack = readPack(packets);
      break;
    }
    let line = next();
    for (; line.kind === "data"; line = next()) addSectionLine(answer, section, pktText(line.payload));
    if (line.kind === "flush") break;
  }
  if (packets.rest.length > 0) throw new AnswerError("there is more after the flush");
}

function addSectionLine(answer: FetchAnswer, section: string, text: string): void {
  if (section === "shallow-info") answer.shallowInfo.push(text);
  else if (section === "wanted-refs") answer.wantedRefs.push(text);
  else if (section !== "acknowledgments") throw new AnswerError(`unexpected section '${section}'`);
  else if (text === "ready") answer.isReady = true;
  else if (text !== "NAK") answer.acks.push(parseAck(text));
}

function parseAck(text: string): Acknowledgment {
  const [, id, status = ""] = /^ACK ([0-9a-f]{40})(?: (common|continue|ready))?$/.exec(text) ?? [];
  if (id === undefined) throw new AnswerError(`unexpected line '${text.slice(0, 100)}'`);
  return { id, status };
}

function parseV0(packets: PacketCursor, answer: FetchAnswer, { deepening, capabilities }: FetchCase): void {
  if (deepening !== undefined) {
    let packet = packets.next();
    for (; packet.kind === "data"; packet = packets.next()) answer.shallowInfo.push(pktText(packet.payload));
    if (packet.kind !== "flush") throw new AnswerError("shallow lines without a flush");
  }
  const hasSideband = capabilities.has("side-band") || capabilities.has("side-band-64k");
  while (packets.rest.length > 0) {
    const start = pktText(packets.rest.subarray(0, 8));
    if (!hasSideband && start.startsWith("PACK")) {
      answer.pack = packets.rest;
      return;
    }
    if (hasSideband && !/^....(ACK|NAK|ERR)/s.test(start)) {
      answer.pack = readPack(packets);
      return;
    }
    const packet = packets.next();
    if (packet.kind !== "data") throw new AnswerError("expected an acknowledgment");
    const text = pktText(packet.payload);
    if (text !== "NAK") answer.acks.push(parseAck(text));
  }
}

function readPack(packets: PacketCursor): Uint8Array {
  const pieces: Uint8Array[] = [];
  let packet = packets.nextBand();
  for (; packet.kind === "data"; packet = packets.nextBand()) pieces.push(packet.payload);
  if (packet.kind !== "flush") throw new AnswerError("the pack does not end with a flush");
  return Buffer.concat(pieces);
}
