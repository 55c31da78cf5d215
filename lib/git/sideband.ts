/**
 * Side-band packets: pack bytes, progress text and a fatal error over one stream of pkt-lines.
 * Source: gitprotocol-pack(5), "Packfile Data"; gitprotocol-capabilities(5), "side-band, side-band-64k".
 */
import { isTimeout, LimitExceededError, ProtocolError } from "../errors.ts";
import { FLUSH_PKT, MAX_PKT_LINE_BYTES, PKT_PREFIX_BYTES, writePktPrefix } from "./pktline.ts";
import { untilAborted } from "./until-aborted.ts";

export const BAND = { pack: 1, progress: 2, fatal: 3 } as const;
export type Band = (typeof BAND)[keyof typeof BAND];

/** The longest packet, prefix and band included, that a client with `side-band-64k` takes. */
export const SIDE_BAND_64K_PACKET_BYTES = MAX_PKT_LINE_BYTES;
/** The same for plain `side-band`. */
export const SIDE_BAND_PACKET_BYTES = 1000;

const PACKET_HEADER_BYTES = PKT_PREFIX_BYTES + 1;
/** What the mux collects before it hands on: few large writes cost far less than one for each packet. */
const BATCH_BYTES = 4 * SIDE_BAND_64K_PACKET_BYTES;

const encoder = new TextEncoder();

/** What goes into the mux: pack bytes as they are, or a line of progress text. */
export type SidebandInput = Uint8Array | { readonly progress: string };

/** @returns `payload` in packets of one band, all in one array. */
export function encodeBandPackets(
  band: Band,
  payload: Uint8Array,
  maxPacketBytes: number = SIDE_BAND_64K_PACKET_BYTES,
): Uint8Array {
  const maxPayloadBytes = maxPacketBytes - PACKET_HEADER_BYTES;
  const packetCount = Math.ceil(payload.length / maxPayloadBytes);
  const packets = new Uint8Array(payload.length + packetCount * PACKET_HEADER_BYTES);
  let targetBytes = 0;
  for (let startBytes = 0; startBytes < payload.length; startBytes += maxPayloadBytes) {
    const piece = payload.subarray(startBytes, startBytes + maxPayloadBytes);
    writePktPrefix(packets, targetBytes, piece.length + PACKET_HEADER_BYTES);
    packets[targetBytes + PKT_PREFIX_BYTES] = band;
    packets.set(piece, targetBytes + PACKET_HEADER_BYTES);
    targetBytes += piece.length + PACKET_HEADER_BYTES;
  }
  return packets;
}

export interface MuxOptions {
  readonly onFailure: (error: unknown) => void;
  readonly signal?: AbortSignal | undefined;
  readonly maxPacketBytes?: number;
}

const TIME_IS_UP = "mirror: the time for one answer is up, please retry or ask for less\n";

/**
 * Wraps a pack in side-band packets and ends with a flush. Collects small pieces, so that each array handed on is about
 * 256 KiB; reads nothing from `input` until the consumer asks.
 *
 * A failure of `input` becomes a band 3 packet, since the status line has gone out; `onFailure` gets the error. So does
 * the end of the time for an answer, a TimeoutError as the signal's reason. For any other reason the client has left.
 */
export async function* muxSideband(
  input: AsyncIterable<SidebandInput>,
  { onFailure, signal, maxPacketBytes = SIDE_BAND_64K_PACKET_BYTES }: MuxOptions,
): AsyncGenerator<Uint8Array, void> {
  const batch = new PacketBatch(maxPacketBytes);
  try {
    for await (const item of untilAborted(input, signal)) {
      if (item instanceof Uint8Array) {
        for (let doneBytes = 0; doneBytes < item.length; ) {
          doneBytes += batch.append(item.subarray(doneBytes));
          if (batch.isFull) yield batch.take();
        }
      } else {
        if (!batch.isEmpty) yield batch.take();
        yield encodeBandPackets(BAND.progress, encoder.encode(item.progress), maxPacketBytes);
      }
    }
    if (!batch.isEmpty) yield batch.take();
    yield FLUSH_PKT;
  } catch (error) {
    const isTimeUp = signal?.aborted === true && isTimeout(signal.reason);
    if (signal?.aborted && !isTimeUp) return;
    onFailure(isTimeUp ? signal.reason : error);
    const text = isTimeUp ? TIME_IS_UP : textOf(error);
    yield encodeBandPackets(BAND.fatal, encoder.encode(text), maxPacketBytes);
  }
}

function textOf(error: unknown): string {
  if (error instanceof LimitExceededError) return `mirror: ${error.message}\n`;
  return "mirror: reading the repository failed, please retry\n";
}

/** Band 1 packets being filled one after the other in one array. */
class PacketBatch {
  readonly #maxPacketBytes: number;
  readonly #capacityBytes: number;
  #bytes: Uint8Array;
  #usedBytes = 0;
  /** Where the packet that still has room begins; its prefix is written when it is closed. */
  #packetStartBytes = 0;

  constructor(maxPacketBytes: number) {
    this.#maxPacketBytes = maxPacketBytes;
    this.#capacityBytes = Math.floor(BATCH_BYTES / maxPacketBytes) * maxPacketBytes;
    this.#bytes = Buffer.allocUnsafeSlow(this.#capacityBytes);
  }

  get isEmpty(): boolean {
    return this.#usedBytes === 0;
  }

  get isFull(): boolean {
    return this.#usedBytes === this.#capacityBytes;
  }

  /** Copies as much of `piece` as there is room for. @returns How much that was. */
  append(piece: Uint8Array): number {
    let doneBytes = 0;
    while (doneBytes < piece.length && !this.isFull) {
      if (this.#usedBytes === this.#packetStartBytes) this.#usedBytes += PACKET_HEADER_BYTES;
      const roomBytes = this.#packetStartBytes + this.#maxPacketBytes - this.#usedBytes;
      const part = piece.subarray(doneBytes, doneBytes + roomBytes);
      this.#bytes.set(part, this.#usedBytes);
      this.#usedBytes += part.length;
      doneBytes += part.length;
      if (part.length === roomBytes) this.#closePacket();
    }
    return doneBytes;
  }

  take(): Uint8Array {
    if (this.#usedBytes > this.#packetStartBytes) this.#closePacket();
    const packets = this.#bytes.subarray(0, this.#usedBytes);
    this.#bytes = Buffer.allocUnsafeSlow(this.#capacityBytes);
    this.#usedBytes = 0;
    this.#packetStartBytes = 0;
    return packets;
  }

  #closePacket(): void {
    writePktPrefix(this.#bytes, this.#packetStartBytes, this.#usedBytes - this.#packetStartBytes);
    this.#bytes[this.#packetStartBytes + PKT_PREFIX_BYTES] = BAND.pack;
    this.#packetStartBytes = this.#usedBytes;
  }
}

/** @throws {ProtocolError} The packet is empty or its band is not 1, 2 or 3. */
export function decodeBandPacket(packet: Uint8Array): { readonly band: Band; readonly payload: Uint8Array } {
  const band = packet[0];
  if (band !== BAND.pack && band !== BAND.progress && band !== BAND.fatal) {
    throw new ProtocolError("side-band packet has no known band", { band });
  }
  return { band, payload: packet.subarray(1) };
}
