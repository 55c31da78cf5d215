/** Knows which of a server's connections serve a request, so that closing it waits for those only. */
import type { Socket } from "node:net";

/** node:http's own `closeIdleConnections` spares a connection on which no request has come yet. */
export class ConnectionTracker {
  readonly #idle = new Set<Socket>();
  #isClosing = false;

  opened(socket: Socket): void {
    this.#idle.add(socket);
    socket.once("close", () => this.#idle.delete(socket));
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
}
