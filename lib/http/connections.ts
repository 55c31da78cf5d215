/** The connections of a server, and how many there may be. */
import type { Socket } from "node:net";

const TOO_MANY_CONNECTIONS =
  "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 10\r\nconnection: close\r\n\r\n" +
  "too many connections, try again in 10 s\n";

interface AddressConnections {
  count: number;
  /** Oldest first. */
  readonly idle: Set<Socket>;
}

/**
 * Knows which connections serve a request, so that `close` waits for those only. node:http's `closeIdleConnections` leaves out
 * connections on which no request has come yet. It also limits them, where node's `maxConnections` drops new ones without a word,
 * also while others are idle.
 */
export class ConnectionTracker {
  readonly #maxCount: number;
  readonly #isTrusted: (address: string) => boolean;
  readonly #ofAddress = new Map<string, AddressConnections>();
  #count = 0;
  #idleCount = 0;
  #isClosing = false;

  constructor(maxCount: number, isTrusted: (address: string) => boolean) {
    this.#maxCount = maxCount;
    this.#isTrusted = isTrusted;
  }

  opened(socket: Socket): void {
    const { remoteAddress: address = "" } = socket;
    const own = this.#ofAddress.get(address) ?? { count: 0, idle: new Set<Socket>() };
    // Idle ones give way. An address may have no more than it leaves to others.
    const freeCount = this.#maxCount - (this.#count - this.#idleCount);
    const isTooMany = own.count + 1 > Math.min(this.#maxCount / 2, freeCount) && !this.#isTrusted(address);
    if (isTooMany || (this.#count >= this.#maxCount && !this.#endOneIdle())) {
      socket.on("error", () => socket.destroy());
      socket.end(TOO_MANY_CONNECTIONS, () => socket.destroy());
      return;
    }
    this.#ofAddress.set(address, own);
    this.#count += 1;
    own.count += 1;
    this.#setIdle(own, socket);
    socket.once("close", () => {
      this.#count -= 1;
      own.count -= 1;
      this.#setBusy(own, socket);
      if (own.count === 0 && this.#ofAddress.get(address) === own) this.#ofAddress.delete(address);
    });
  }

  requestStarted(socket: Socket): void {
    this.#setBusy(this.#ofAddress.get(socket.remoteAddress ?? ""), socket);
  }

  requestEnded(socket: Socket): void {
    if (socket.destroyed) return;
    if (this.#isClosing) socket.destroySoon();
    else this.#setIdle(this.#ofAddress.get(socket.remoteAddress ?? ""), socket);
  }

  /** Ends the idle connections now, and each other one after its request. */
  close(): void {
    this.#isClosing = true;
    for (const { idle } of this.#ofAddress.values()) for (const socket of idle) socket.destroy();
  }

  #setIdle(own: AddressConnections | undefined, socket: Socket): void {
    if (own === undefined || own.idle.has(socket)) return;
    own.idle.add(socket);
    this.#idleCount += 1;
  }

  #setBusy(own: AddressConnections | undefined, socket: Socket): void {
    if (own?.idle.delete(socket)) this.#idleCount -= 1;
  }

  /** The oldest of the address with most idle ones: who holds many gives way first. */
  #endOneIdle(): boolean {
    let most: AddressConnections | undefined;
    for (const one of this.#ofAddress.values()) if (one.idle.size > (most?.idle.size ?? 0)) most = one;
    const [socket] = most?.idle ?? [];
    if (socket === undefined) return false;
    this.#setBusy(most, socket);
    socket.destroy();
    return true;
  }
}
