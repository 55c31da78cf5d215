/** Requests that a client sends without waiting for the answers before them. */

import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** No git client pipelines. One that does is served, but a connection with more requests waiting is cut. */
const MAX_PIPELINED = 4;

/** Starts a connection's next request when the answer before it has been sent: node:http starts each that it has read. */
export class PipelinedRequests {
  /** Of the connections with a request under way: those that wait. */
  readonly #waiting = new WeakMap<Socket, (() => void)[]>();

  start(socket: Socket, outgoing: ServerResponse, serveRequest: () => void): void {
    outgoing.once("close", () => this.#startNext(socket));
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined) {
      this.#waiting.set(socket, []);
      serveRequest();
    } else if (waiting.length < MAX_PIPELINED) waiting.push(serveRequest);
    else socket.destroy();
  }

  #startNext(socket: Socket): void {
    // What waits on a connection that ends is never answered.
    const serveNext =
      socket.destroyed || socket.writableEnded ? undefined : this.#waiting.get(socket)?.shift();
    if (serveNext === undefined) this.#waiting.delete(socket);
    else serveNext();
  }
}
