/** Requests that a client sends without waiting for the answers before them. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { PacedStarts } from "./paced-starts.ts";

/** No git client pipelines. One that does is served, but a connection with more requests waiting is cut. */
const MAX_PIPELINED = 4;

/** Starts a connection's next request when the answer before it has been sent: node:http starts each that it has read. */
export class PipelinedRequests {
  /** Of the connections with a request under way: those that wait. */
  readonly #waiting = new WeakMap<Socket, (() => void)[]>();
  readonly #cut = new WeakSet<Socket>();
  /** node:http makes an error for each request that it has read: some thousands in one read of a socket. */
  readonly #cuts = new PacedStarts(1);

  /** Whether the connection's further requests are not to be taken. */
  isCut(socket: Socket): boolean {
    return this.#cut.has(socket);
  }

  start(socket: Socket, outgoing: ServerResponse, serveRequest: () => void): void {
    outgoing.once("close", () => this.#startNext(socket));
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined) {
      this.#waiting.set(socket, []);
      serveRequest();
    } else if (waiting.length < MAX_PIPELINED) {
      waiting.push(serveRequest);
      // node:http reads on until it is told not to.
      socket.pause();
    } else {
      this.#cut.add(socket);
      this.#cuts.start(() => destroyWithoutTraces(socket));
    }
  }

  #startNext(socket: Socket): void {
    const waiting = this.#waiting.get(socket);
    // What waits on a connection that ends is never answered.
    const isOver = socket.destroyed || socket.writableEnded || this.#cut.has(socket);
    const serveNext = isOver ? undefined : waiting?.shift();
    if (serveNext === undefined) {
      this.#waiting.delete(socket);
      return;
    }
    if (waiting?.length === 0) socket.resume();
    serveNext();
  }
}

/** The error that node:http makes for each request has a stack trace, which takes most of the time and is not read. */
function destroyWithoutTraces(socket: Socket): void {
  let limit = Error.stackTraceLimit;
  socket.prependOnceListener("close", () => {
    limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
  });
  socket.once("close", () => {
    Error.stackTraceLimit = limit;
  });
  socket.destroy();
}
