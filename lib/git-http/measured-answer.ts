/** Measures the answer to one clone or fetch, and logs one line for each pack. */
import type { PlannedPack } from "../git/upload-pack/upload-pack.ts";
import { loggedPath } from "../http/logged-path.ts";
import type { HttpRequest } from "../http/message.ts";
import type { Logger } from "../log.ts";
import type { CountedName } from "../metrics.ts";

const METRIC_OF_ORIGIN = {
  copied: "PacksCopied",
  shared: "PacksShared",
  recipe: "PacksByRecipe",
  planned: "PacksPlanned",
} as const satisfies Record<PlannedPack["origin"], CountedName>;

export class MeasuredAnswer {
  readonly #request: HttpRequest;
  readonly #log: Logger;
  readonly #startedMs: number;
  #pack: PlannedPack | undefined;
  #hasFailed = false;

  /** @param startedMs - When the request arrived, by `performance.now()`. */
  constructor(request: HttpRequest, log: Logger, startedMs: number) {
    this.#request = request;
    this.#log = log;
    this.#startedMs = startedMs;
  }

  /** The client gets an error in place of the pack's rest. */
  failed(): void {
    this.#hasFailed = true;
  }

  planned(pack: PlannedPack | undefined): void {
    this.#pack = pack;
  }

  async *sent(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    let sentBytes = 0;
    let firstByteSeconds: number | undefined;
    let isWhole = false;
    try {
      for await (const chunk of chunks) {
        if (this.#pack !== undefined) firstByteSeconds ??= this.#seconds();
        sentBytes += chunk.length;
        yield chunk;
      }
      isWhole = !this.#hasFailed;
    } finally {
      if (this.#pack !== undefined) this.#write(this.#pack, { sentBytes, firstByteSeconds, isWhole });
    }
  }

  #write(
    { origin, isClone }: PlannedPack,
    sent: { sentBytes: number; firstByteSeconds: number | undefined; isWhole: boolean },
  ): void {
    const { sentBytes, firstByteSeconds, isWhole } = sent;
    const path = loggedPath(this.#request.path);
    const fields = { path, origin, isClone, isWhole, seconds: this.#seconds() };
    this.#log.info("git-http:answered", fields, {
      SentBytes: sentBytes,
      ...(firstByteSeconds !== undefined && { FirstByteSeconds: firstByteSeconds }),
      ...(isWhole && { [isClone ? "Clones" : "Fetches"]: 1, [METRIC_OF_ORIGIN[origin]]: 1 }),
    });
  }

  #seconds(): number {
    return Math.round(performance.now() - this.#startedMs) / 1000;
  }
}
