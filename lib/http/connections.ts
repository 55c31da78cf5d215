/** The connections of a server, and how many there may be. */
import type { Socket } from "node:net";

const TOO_MANY_CONNECTIONS =
  "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 10\r\nconnection: close\r\n\r\n" +
  "too many connections, try again in 10 s\n";

/**
 * Knows which connections serve a request, so that `close` waits for those only. node:http's `closeIdleConnections` leaves out
 * connections on which no request has come yet. It also limits them, where node's `maxConnections` drops new ones without a word,
 * also while others are idle.
 */
export class ConnectionTracker {
  readonly #maxCount: number;
  readonly #isTrusted: (address: string) => boolean;
  /** Oldest first. */
  readonly #idle = new Set<Socket>();
  readonly #countOf = new Map<string, number>();
  #count = 0;
  #isClosing = false;

  constructor(maxCount: number, isTrusted: (address: string) => boolean) {
    this.#maxCount = maxCount;
    this.#isTrusted = isTrusted;
  }

  opened(socket: Socket): void {
    const { remoteAddress: address = "" } = socket;
    const ofAddress = (this.#countOf.get(address) ?? 0) + 1;
    // Idle ones give way. An address may have no more than it leaves to others.
    const freeCount = this.#maxCount - (this.#count - this.#idle.size);
    const isTooMany = ofAddress > Math.min(this.#maxCount / 2, freeCount) && !this.#isTrusted(address);
    if (isTooMany || (this.#count >= this.#maxCount && !this.#endOldestIdle())) {
      socket.on("error", () => socket.destroy());
      socket.end(TOO_MANY_CONNECTIONS, () => socket.destroy());
      return;
    }
    this.#count += 1;
    this.#countOf.set(address, ofAddress);
    this.#idle.add(socket);
    socket.once("close", () => {
      this.#count -= 1;
      this.#idle.delete(socket);
      const left = (this.#countOf.get(address) ?? 0) - 1;
      if (left > 0) this.#countOf.set(address, left);
      else this.#countOf.delete(address);
    });
  }

  requestStarted(socket: Socket): void {
    this.#idle.delete(socket);
  }

  requestEnded(socket: Socket): void {
    if (socket.destroyed) return;
    if (this.#isClosing) socket.destroySoon();
    else this.#idle.add(socket);
  }

  /** Ends the idle connections now, and each other one after its request. */
  close(): void {
    this.#isClosing = true;
    for (const socket of this.#idle) socket.destroy();
  }

  #endOldestIdle(): boolean {
    const [socket] = this.#idle;
    socket?.destroy();
    if (socket !== undefined) this.#idle.delete(socket);
    return socket !== undefined;
  }
}
