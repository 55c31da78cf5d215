/** The port to what a queue in one process keeps, so that it outlives the process: dead letters, and messages that wait. */
import type { DeadLetter, DeadLetters, QueueMessage } from "./job-queue.ts";

export type KeptState = "waiting" | "dead";

export interface KeptMessage {
  readonly id: string;
  readonly message: QueueMessage;
}

/** Those that come after the oldest are also marked in the store as failed. */
export const MAX_DEAD_LETTERS = 10_000;

export interface KeptMessages {
  /** In the order in which they were put. */
  list(state: KeptState, maxCount: number): Promise<readonly KeptMessage[]>;
  /** Resolves when it is safe; of too many dead letters the oldest go. @returns Its id, unique among those of its state. */
  put(state: KeptState, message: QueueMessage): Promise<string>;
  /** No error if there is none. */
  delete(state: KeptState, id: string): Promise<void>;
}

/** For a queue whose messages may go with the process. */
export class MemoryKeptMessages implements KeptMessages {
  readonly #kept = { waiting: new Map<string, QueueMessage>(), dead: new Map<string, QueueMessage>() };
  #putCount = 0;

  async list(state: KeptState, maxCount: number): Promise<readonly KeptMessage[]> {
    return [...this.#kept[state]].slice(0, maxCount).map(([id, message]) => ({ id, message }));
  }

  async put(state: KeptState, message: QueueMessage): Promise<string> {
    const id = String(this.#putCount++);
    this.#kept[state].set(id, message);
    const [oldest] = this.#kept.dead.keys();
    if (this.#kept.dead.size > MAX_DEAD_LETTERS && oldest !== undefined) this.#kept.dead.delete(oldest);
    return id;
  }

  async delete(state: KeptState, id: string): Promise<void> {
    this.#kept[state].delete(id);
  }
}

/** The dead letters among them. Replayed, they wait until the queue looks for those. */
export class KeptDeadLetters implements DeadLetters {
  readonly #kept: KeptMessages;

  constructor(kept: KeptMessages) {
    this.#kept = kept;
  }

  async list(maxCount: number): Promise<readonly DeadLetter[]> {
    const letters = await this.#kept.list("dead", maxCount);
    return letters.map(({ message: { groupId, body } }) => ({ groupId, body }));
  }

  async replay(maxCount: number): Promise<number> {
    const letters = await this.#kept.list("dead", maxCount);
    for (const { id, message } of letters) {
      // In this order: a job that is run twice does no harm.
      await this.#kept.put("waiting", message);
      await this.#kept.delete("dead", id);
    }
    return letters.length;
  }
}
