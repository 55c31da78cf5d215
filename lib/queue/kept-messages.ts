/** The port to the storage of an in-process queue: dead letters and waiting messages, which outlive the process. */
import type { DeadLetter, DeadLetters, QueueMessage } from "./job-queue.ts";

export type KeptState = "waiting" | "dead";

export interface KeptMessage {
  readonly id: string;
  readonly message: QueueMessage;
}

/** When there are more, the oldest are deleted; their repositories are marked as failed in the store. */
export const MAX_DEAD_LETTERS = 10_000;

export interface KeptMessages {
  /** In the order in which they were stored. */
  list(state: KeptState, maxCount: number): Promise<readonly KeptMessage[]>;
  count(state: KeptState): Promise<number>;
  /** Resolves when it is stored; of too many dead letters the oldest are deleted. @returns Its id, unique within its state. */
  put(state: KeptState, message: QueueMessage): Promise<string>;
  /** No error if there is none. */
  delete(state: KeptState, id: string): Promise<void>;
}

/** For a queue whose messages may be lost with the process. */
export class MemoryKeptMessages implements KeptMessages {
  readonly #kept = { waiting: new Map<string, QueueMessage>(), dead: new Map<string, QueueMessage>() };
  #putCount = 0;

  async list(state: KeptState, maxCount: number): Promise<readonly KeptMessage[]> {
    return [...this.#kept[state]].slice(0, maxCount).map(([id, message]) => ({ id, message }));
  }

  async count(state: KeptState): Promise<number> {
    return this.#kept[state].size;
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

/** The dead letters of such a storage. Replayed ones wait until the queue reads them. */
export class KeptDeadLetters implements DeadLetters {
  readonly #kept: KeptMessages;

  constructor(kept: KeptMessages) {
    this.#kept = kept;
  }

  async list(maxCount: number, isWanted?: (body: string) => boolean): Promise<readonly DeadLetter[]> {
    const letters = await this.#wanted(maxCount, isWanted);
    return letters.map(({ message: { groupId, body } }) => ({ groupId, body }));
  }

  async replay(maxCount: number, isWanted?: (body: string) => boolean): Promise<number> {
    const letters = await this.#wanted(maxCount, isWanted);
    for (const { id, message } of letters) {
      // In this order: a job may run twice.
      await this.#kept.put("waiting", message);
      await this.#kept.delete("dead", id);
    }
    return letters.length;
  }

  async #wanted(
    maxCount: number,
    isWanted: ((body: string) => boolean) | undefined,
  ): Promise<readonly KeptMessage[]> {
    if (isWanted === undefined) return this.#kept.list("dead", maxCount);
    const all = await this.#kept.list("dead", MAX_DEAD_LETTERS);
    return all.filter(({ message }) => isWanted(message.body)).slice(0, maxCount);
  }
}
