/** Requests that a client sends without waiting for the answers before them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { PacedStarts, type StartOwner } from "./paced-starts.ts";

/** No git client pipelines. One that does is served, but a connection with more requests waiting is cut. */
const MAX_PIPELINED = 4;
/** node:http begins each request that is in the bytes it is given: 64 KB may hold 2,000. */
const PARSED_BYTES = 1024;
/** A KiB of a body in chunks of a byte takes a millisecond. */
const TURN_MS = 10;
const MAX_RESUMED_A_TURN = 8;
/** While a body is under way. Requests may begin behind its end. */
const PARSED_BODY_BYTES = 16 * 1024;

/** Starts a connection's next request when the answer before it has been sent. */
export class PipelinedRequests {
  /** Of the connections with a request under way: those that wait. */
  readonly #waiting = new WeakMap<Socket, (() => void)[]>();
  readonly #cut = new WeakSet<Socket>();
  /** Of the connections the request that began last. */
  readonly #last = new WeakMap<Socket, IncomingMessage>();
  /** A connection that ends makes an error for each of its requests. */
  readonly #cuts = new PacedStarts(1);
  readonly #resumes = new PacedStarts(MAX_RESUMED_A_TURN);
  #turnEndsAtMs: number | undefined;

  /** Whether the connection's further requests are not to be taken. */
  isCut(socket: Socket): boolean {
    return this.#cut.has(socket);
  }

  start(socket: Socket, outgoing: ServerResponse, serveRequest: () => void): void {
    outgoing.once("close", () => this.#startNext(socket));
    this.#last.set(socket, outgoing.req);
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined) {
      this.#waiting.set(socket, []);
      serveRequest();
    } else if (waiting.length < MAX_PIPELINED) {
      waiting.push(serveRequest);
      // node:http keeps reading otherwise.
      socket.pause();
    } else if (!this.#cut.has(socket)) {
      this.#cut.add(socket);
      this.#cuts.start(
        () => socket.destroy(),
        () => ownerOf(socket),
      );
    }
  }

  /** Gives node:http the connection's bytes in pieces, and none while a request waits. To be called once node:http has added its listener. */
  parseInPieces(socket: Socket): void {
    const [parse] = socket.listeners("data");
    if (parse === undefined) return;
    socket.on("data", (bytes: Buffer) => {
      for (let start = 0; start < bytes.length && !this.isCut(socket); ) {
        // node:http resumes it for the body of the request under way.
        if (this.#hasWaiting(socket)) socket.pause();
        else if (this.#isTurnOver()) {
          socket.pause();
          setImmediate(() =>
            this.#resumes.start(
              () => this.#resume(socket),
              () => ownerOf(socket),
            ),
          );
        }
        if (socket.isPaused()) {
          socket.unshift(bytes.subarray(start));
          return;
        }
        const end = start + (this.#last.get(socket)?.complete === false ? PARSED_BODY_BYTES : PARSED_BYTES);
        parse.call(socket, bytes.subarray(start, end));
        start = end;
      }
    });
    socket.off("data", parse as (bytes: Buffer) => void);
  }

  /** Of the event loop: what all connections bring counts together. */
  #isTurnOver(): boolean {
    if (this.#turnEndsAtMs === undefined) {
      this.#turnEndsAtMs = performance.now() + TURN_MS;
      setImmediate(() => {
        this.#turnEndsAtMs = undefined;
      });
    }
    return performance.now() >= this.#turnEndsAtMs;
  }

  /** While the connection's answer is not taken, node:http parses nothing. */
  #resume(socket: Socket): void {
    if (socket.writableNeedDrain) socket.once("drain", () => this.#resume(socket));
    else if (!this.#hasWaiting(socket)) socket.resume();
  }

  #hasWaiting(socket: Socket): boolean {
    return (this.#waiting.get(socket)?.length ?? 0) > 0;
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

/** Before anything is known of its requests. */
function ownerOf({ remoteAddress = "" }: Socket): StartOwner {
  return { address: remoteAddress, credential: "" };
}
