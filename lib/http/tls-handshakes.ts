/**
 * Limits the TLS handshakes under way. A connection cannot be answered before its handshake, so one that is too many ends another:
 * the oldest of the address block with the most. Who has few keeps them, however many others open.
 */
import type { Socket } from "node:net";
import { addressBlock } from "./address-block.ts";

const MAX_HANDSHAKES = 500;

type Connection = Pick<Socket, "remoteAddress" | "remotePort" | "localAddress" | "destroy" | "once">;

export class TlsHandshakes {
  readonly #maxCount: number;
  /** By address block, then by connection; oldest first. */
  readonly #underWay = new Map<string, Map<string, Connection>>();
  #count = 0;

  constructor(maxCount = MAX_HANDSHAKES) {
    this.#maxCount = maxCount;
  }

  /** @param socket Below TLS, as node:tls's `connection` event has it. */
  begun(socket: Connection): void {
    // A client that has gone already has no address.
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) return;
    if (this.#count >= this.#maxCount) this.#endOldest();
    const block = addressBlock(remoteAddress);
    const key = connectionKey(socket);
    const ofBlock = this.#underWay.get(block) ?? new Map<string, Connection>();
    this.#underWay.set(block, ofBlock);
    ofBlock.set(key, socket);
    this.#count += 1;
    socket.once("close", () => this.#forget(block, key, socket));
  }

  /** @param socket As node:tls's `secureConnection` event has it: another object for the same connection. */
  done(socket: Connection): void {
    const block = addressBlock(socket.remoteAddress);
    const key = connectionKey(socket);
    this.#forget(block, key, this.#underWay.get(block)?.get(key));
  }

  #forget(block: string, key: string, socket: Connection | undefined): void {
    const ofBlock = this.#underWay.get(block);
    // The port may be another connection's by now.
    if (socket === undefined || ofBlock?.get(key) !== socket) return;
    ofBlock.delete(key);
    if (ofBlock.size === 0) this.#underWay.delete(block);
    this.#count -= 1;
  }

  #endOldest(): void {
    let most: readonly [string, Map<string, Connection>] | undefined;
    for (const entry of this.#underWay) if (entry[1].size > (most?.[1].size ?? 0)) most = entry;
    const [block = "", ofBlock] = most ?? [];
    const [oldest] = ofBlock ?? [];
    if (oldest === undefined) return;
    const [key, socket] = oldest;
    this.#forget(block, key, socket);
    socket.destroy();
  }
}

function connectionKey({ remoteAddress, remotePort, localAddress }: Connection): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
