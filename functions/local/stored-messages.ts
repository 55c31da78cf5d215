/** Storage of the local mirror's queues: blobs `queue/<name>/<state>/<time>-<number>-<uuid>`. */
import { randomUUID } from "node:crypto";
import * as z from "zod/mini";
import type { QueueMessage } from "../../lib/queue/job-queue.ts";
import {
  type KeptMessage,
  type KeptMessages,
  type KeptState,
  MAX_DEAD_LETTERS,
} from "../../lib/queue/kept-messages.ts";
import { type DocumentForm, NO_DOCUMENT, StoredDocument } from "../../lib/repo/stored-document.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";

export const LOCAL_QUEUES = ["sync", "relay", "lfs"] as const;

/** A copy of a message has the fields of newer releases, too. */
const FORM: DocumentForm<QueueMessage> = {
  schema: z.looseObject({ groupId: z.string(), dedupId: z.string(), body: z.string() }),
  whenDamaged: "absent",
};

export class StoredMessages implements KeptMessages {
  readonly #store: BlobStore;
  readonly #prefix: string;
  #putCount = 0;

  constructor(store: BlobStore, queueName: (typeof LOCAL_QUEUES)[number]) {
    this.#store = store;
    this.#prefix = `queue/${queueName}/`;
  }

  async list(state: KeptState, maxCount: number): Promise<readonly KeptMessage[]> {
    const kept: KeptMessage[] = [];
    for (const id of await this.#ids(state)) {
      if (kept.length >= maxCount) break;
      // Absent if another process has taken it since.
      const { value: message } = await this.#document(state, id).read();
      if (message !== undefined) kept.push({ id, message });
    }
    return kept;
  }

  async count(state: KeptState): Promise<number> {
    return (await this.#ids(state)).length;
  }

  async put(state: KeptState, message: QueueMessage): Promise<string> {
    // Names sort by time, and within a millisecond of this process by number.
    const time = String(Date.now()).padStart(14, "0");
    const number = String(this.#putCount++).padStart(8, "0");
    const id = `${time}-${number}-${randomUUID()}`;
    await this.#document(state, id).write(message, NO_DOCUMENT);
    if (state === "dead") {
      const ids = await this.#ids("dead");
      for (const old of ids.slice(0, Math.max(0, ids.length - MAX_DEAD_LETTERS)))
        await this.delete("dead", old);
    }
    return id;
  }

  /** Ids are never used again, so no tombstone is needed. */
  async delete(state: KeptState, id: string): Promise<void> {
    await this.#store.delete(this.#key(state, id));
  }

  #document(state: KeptState, id: string): StoredDocument<QueueMessage> {
    return new StoredDocument(this.#store, this.#key(state, id), FORM);
  }

  #key(state: KeptState, id: string): string {
    return `${this.#prefix}${state}/${id}`;
  }

  async #ids(state: KeptState): Promise<string[]> {
    const prefix = this.#key(state, "");
    const ids: string[] = [];
    for await (const { key } of this.#store.list(prefix)) ids.push(key.slice(prefix.length));
    return ids;
  }
}
