/** One answer being made: at full speed into a tee buffer, out of which everyone who asks for it reads. */
import { setTimeout as sleep } from "node:timers/promises";
import { OverloadedError } from "../../errors.ts";
import type { AnswerItem } from "../../git/ports.ts";
import { untilAborted } from "../../git/until-aborted.ts";
import { READING_SLACK, TransferPace } from "../../transfer-pace.ts";
import { type TeeBudget, TeeBuffer } from "./tee-buffer.ts";

/** How far an answer is made ahead of its first reader while the budget of all tee buffers is used up. */
const MAX_LEAD_BYTES = 1024 * 1024;
/** How often it is looked whether others have left room. */
const LOOK_EVERY_MS = 250;

type State = { readonly kind: "running" | "whole" } | { readonly kind: "failed"; readonly error: unknown };

interface Reader {
  readonly caller: string | undefined;
  readonly pace: TransferPace;
  readonly leave: () => void;
  isCut: boolean;
}

interface AnswerTaskOptions {
  /** For what is too much for memory. By default the system's. */
  readonly folder: string | undefined;
  readonly budget: TeeBudget;
  /** In ms, a clock that only goes forward. */
  readonly now?: (() => number) | undefined;
}

export class AnswerTask {
  readonly #teeBuffer: TeeBuffer;
  readonly #budget: TeeBudget;
  /** How far the first reader has come. */
  #readBytes = 0;
  readonly #abandoning = new AbortController();
  #state: State = { kind: "running" };
  #progress: { readonly progress: string } | undefined;
  readonly #now: (() => number) | undefined;
  /** In the order in which they came: the tee buffer counts to the first. */
  readonly #readers = new Set<Reader>();
  /** The readers, the work, and who keeps the answer: the tee buffer is there for as long as any of them is. */
  #userCount = 0;
  #change = Promise.withResolvers<void>();
  readonly #unused = Promise.withResolvers<void>();
  #isUnused = false;

  constructor({ folder, budget, now }: AnswerTaskOptions) {
    this.#teeBuffer = new TeeBuffer(folder, budget);
    this.#budget = budget;
    this.#now = now;
  }

  /** To whom the tee buffer counts. */
  get caller(): string | undefined {
    const [first] = this.#readers;
    return first?.caller;
  }

  /** Whether it is there only for readers that take next to nothing. */
  get isIdle(): boolean {
    return this.#readers.size > 0 && [...this.#readers].every(({ pace }) => pace.isSlow);
  }

  /** Whether the work ended because its last reader left. */
  get isAbandoned(): boolean {
    return this.#abandoning.signal.aborted;
  }

  /** Whether one more may read all of it. */
  get isReadable(): boolean {
    return !this.isAbandoned && !this.#isUnused;
  }

  /** Resolves when it has been made and the last reader has left. */
  get unused(): Promise<void> {
    return this.#unused.promise;
  }

  /** Made so far. */
  get lengthBytes(): number {
    return this.#teeBuffer.lengthBytes;
  }

  get hasFailed(): boolean {
    return this.#state.kind === "failed";
  }

  /**
   * Makes the answer. Never rejects: what fails is thrown to the readers.
   * @returns What it failed with, if it did.
   */
  async run(
    make: (signal: AbortSignal) => AsyncIterable<AnswerItem>,
  ): Promise<{ readonly error: unknown } | undefined> {
    const leave = this.#use();
    const { signal } = this.#abandoning;
    try {
      for await (const item of untilAborted(make(signal), signal)) {
        if (item instanceof Uint8Array) await this.#teeBuffer.append(item);
        else this.#progress = item;
        this.#wakeReaders();
        while (this.#mustPause()) await sleep(LOOK_EVERY_MS, undefined, { signal });
      }
      this.#state = { kind: "whole" };
      return undefined;
    } catch (error) {
      this.#state = { kind: "failed", error };
      return { error };
    } finally {
      this.#wakeReaders();
      leave();
    }
  }

  /**
   * Everything from the start, as it comes. When the last reader has gone before the end, the work ends.
   * @param signal - Aborts when this reader has gone, even if it never began to read.
   * @param caller - Who reads.
   */
  read(signal?: AbortSignal, caller?: string): AsyncGenerator<AnswerItem, void, undefined> {
    const leave = this.#use(() => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) this.#teeBuffer.countTo(this.caller);
      else if (this.#state.kind === "running") this.#abandoning.abort();
    });
    const reader: Reader = { caller, pace: new TransferPace(READING_SLACK, this.#now), leave, isCut: false };
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.#teeBuffer.countTo(caller);
    const onGone = (): void => leave();
    if (signal?.aborted) leave();
    else signal?.addEventListener("abort", onGone, { once: true });
    return this.#items(reader, () => {
      signal?.removeEventListener("abort", onGone);
      leave();
    });
  }

  /** Ends it for all readers, also those that it has not sent everything: for when it is idle. */
  cutReaders(): void {
    for (const reader of [...this.#readers]) {
      reader.isCut = true;
      reader.leave();
    }
  }

  /** For the writer into the store: it does not count as a reader that keeps the work going. @returns What to call at the end. */
  hold(): () => void {
    return this.#use();
  }

  /** The bytes alone, while `hold` holds. */
  async *readHeld(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const item of this.#items(undefined, () => undefined))
      if (item instanceof Uint8Array) yield item;
  }

  #mustPause(): boolean {
    return (
      this.#budget.isUsedUpBy(this.caller) && this.#teeBuffer.lengthBytes > this.#readBytes + MAX_LEAD_BYTES
    );
  }

  async *#items(reader: Reader | undefined, leave: () => void): AsyncGenerator<AnswerItem, void, undefined> {
    let offsetBytes = 0;
    let shownProgress: AnswerItem | undefined;
    try {
      for (;;) {
        if (reader?.isCut) throw new OverloadedError("the answer was read too slowly", { status: 408 });
        if (offsetBytes < this.#teeBuffer.lengthBytes) {
          const bytes = await this.#teeBuffer.read(offsetBytes);
          offsetBytes += bytes.length;
          if (reader !== undefined) this.#readBytes = Math.max(this.#readBytes, offsetBytes);
          reader?.pace.waits();
          yield bytes;
          reader?.pace.moved(bytes.length);
        } else if (this.#progress !== undefined && this.#progress !== shownProgress) {
          shownProgress = this.#progress;
          yield shownProgress;
        } else if (this.#state.kind === "running") await this.#change.promise;
        else if (this.#state.kind === "failed") throw this.#state.error;
        else return;
      }
    } finally {
      leave();
    }
  }

  /** @returns What to call, once or more often, when the tee buffer is needed no more. */
  #use(onLeave: () => void = () => undefined): () => void {
    this.#userCount += 1;
    let isUsing = true;
    return () => {
      if (!isUsing) return;
      isUsing = false;
      onLeave();
      this.#userCount -= 1;
      if (this.#userCount > 0) return;
      this.#isUnused = true;
      this.#unused.resolve();
      // The file has no name: it is gone when it is closed.
      this.#teeBuffer[Symbol.asyncDispose]().catch(() => undefined);
    };
  }

  #wakeReaders(): void {
    const { resolve } = this.#change;
    this.#change = Promise.withResolvers();
    resolve();
  }
}
