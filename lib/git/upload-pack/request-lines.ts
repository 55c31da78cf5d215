/** The lines of a request as text, within limits. */
import { LimitExceededError, ProtocolError } from "../../errors.ts";
import { isObjectId, OBJECT_ID_BYTES, type ObjectId } from "../object-id.ts";
import { pktText } from "../pktline.ts";
import { type PktLine, PktLineReader } from "../pktline-reader.ts";
import { WorkSlices } from "../work-slices.ts";
import type { RequestLimits } from "./fetch-request.ts";

export type RequestLine =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "flush" | "delim" | "end" };

export class RequestLines {
  readonly #reader: PktLineReader;
  readonly #limits: RequestLimits;
  readonly #slices = new WorkSlices();

  constructor(body: AsyncIterable<Uint8Array>, limits: RequestLimits) {
    this.#reader = new PktLineReader(limitBytes(body, limits.maxBodyBytes));
    this.#limits = limits;
  }

  /**
   * At once where the line has arrived: a clone may name each of 100,000 refs.
   * @throws {ProtocolError} A malformed line. @throws {LimitExceededError} The line or the whole body is too long.
   */
  next(): RequestLine | Promise<RequestLine> {
    const pause = this.#slices.spend(1);
    const line = pause === undefined ? this.#reader.buffered() : undefined;
    return line === undefined ? this.#nextLater(pause) : this.#requestLine(line);
  }

  async #nextLater(pause: Promise<void> | undefined): Promise<RequestLine> {
    await pause;
    return this.#requestLine(await this.#reader.next());
  }

  #requestLine(line: PktLine): RequestLine {
    if (line.kind !== "data") {
      if (line.kind === "response-end")
        throw new ProtocolError("unexpected response-end packet in a request");
      return { kind: line.kind };
    }
    if (line.payload.length > this.#limits.maxLineBytes) {
      throw new LimitExceededError("a line of the request is too long", { lineBytes: line.payload.length });
    }
    return { kind: "text", text: pktText(line.payload) };
  }

  /** Leaves the rest of the body unread. */
  async close(): Promise<void> {
    await this.#reader.close();
  }
}

async function* limitBytes(
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array, void> {
  let totalBytes = 0;
  for await (const chunk of body) {
    totalBytes += chunk.length;
    if (totalBytes > maxBytes) throw new LimitExceededError("the request's body is too large", { maxBytes });
    yield chunk;
  }
}

/** The id behind `key` in a line such as `want <id>`. @throws {ProtocolError} It is not one. */
export function lineObjectId(text: string, key: string): ObjectId {
  const id = text.slice(key.length).toLowerCase();
  if (!isObjectId(id)) throw new ProtocolError(`expected an object id in '${printable(text)}'`);
  return id;
}

export function unexpectedLine(text: string): ProtocolError {
  return new ProtocolError(`unexpected line: '${printable(text)}'`);
}

const LIMIT_OF = {
  wants: "maxWants",
  haves: "maxHaves",
  "shallow lines": "maxShallows",
  "deepen-not lines": "maxDeepenNots",
} as const;

/** Adds the id behind `key` in the line. @throws {ProtocolError} It is none. @throws {LimitExceededError} The set is full. */
export function addIdWithin(
  limits: RequestLimits,
  what: keyof typeof LIMIT_OF,
  kept: Set<ObjectId>,
  line: string,
  key: string,
): void {
  addWithin(limits, what, kept, lineObjectId(line, key), OBJECT_ID_BYTES);
}

/** Adds to a set that has a limit. What is there already costs nothing. @throws {LimitExceededError} It is full. */
export function addWithin<Text extends string>(
  limits: RequestLimits,
  what: keyof typeof LIMIT_OF,
  kept: Set<Text>,
  text: Text,
  keptBytes = text.length,
): void {
  const maxCount = limits[LIMIT_OF[what]];
  if (kept.has(text)) return;
  if (kept.size >= maxCount) throw new LimitExceededError(`too many ${what} in one request`, { maxCount });
  limits.keep?.(keptBytes);
  kept.add(text);
}

function printable(text: string): string {
  return text.slice(0, 80).replace(/[^\u0020-\u007e]/g, "?");
}
