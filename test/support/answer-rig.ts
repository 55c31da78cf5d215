/** Answers of one repository in a store that can be made to fail, and one answer to ask for. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import type { AnswerItem, AnswerRequest, SharedAnswers } from "../../lib/git/ports.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { BlobCall, BlobFaults } from "./store/blob-faults.ts";
import { CountingBlobStore } from "./store/counting-blob-store.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const KEY = createHash("sha256").update("a request").digest("hex");
/** Of 100,000 bytes each: together more than a tee buffer keeps in memory. */
export const CHUNK_COUNT = 16;

const chunkOf = (index: number): Uint8Array => new Uint8Array(100_000).fill(index);
/** The answer. */
export const WHOLE = Buffer.concat(Array.from({ length: CHUNK_COUNT }, (_, index) => chunkOf(index)));

export function expectWhole(bytes: Uint8Array): void {
  expect(Buffer.compare(bytes, WHOLE)).toBe(0);
}

/** What is left of an answer. */
export async function readAll(items: AsyncIterator<AnswerItem>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let step = await items.next(); !step.done; step = await items.next()) {
    if (step.value instanceof Uint8Array) chunks.push(step.value);
  }
  return Buffer.concat(chunks);
}

export class AnswerRig {
  readonly blobKey = repositoryKeys(UUID).answer(KEY);
  readonly store: CountingBlobStore;
  /** What was complained about. */
  readonly failures: unknown[] = [];
  /** Of the store; to be set at any time. */
  before: BlobFaults["before"];
  madeCount = 0;
  /** Absent: the mirror itself. */
  caller: string | undefined;
  answers: SharedAnswers;
  readonly #folder: string;

  /** @param folder - For tee buffers. */
  constructor(folder: string) {
    this.#folder = folder;
    const before = (call: BlobCall) => this.before?.(call);
    this.store = new CountingBlobStore(new MemoryBlobStore({ faults: { before } }));
    this.answers = this.#open();
  }

  /** As another process does that knows nothing of this one. */
  startAnew(options: { readonly maxKeepingWaitMs?: number } = {}): void {
    this.answers = this.#open(options);
  }

  /** @param beforeChunk - Called before each one is made. */
  order(beforeChunk: (index: number) => unknown = () => undefined, isKept = true): AnswerRequest {
    const make = async function* (this: AnswerRig) {
      this.madeCount += 1;
      for (let index = 0; index < CHUNK_COUNT; index++) {
        await beforeChunk(index);
        yield chunkOf(index);
      }
    };
    return { key: KEY, isKept, make: () => make.call(this) };
  }

  async open(order: AnswerRequest): Promise<AsyncIterator<AnswerItem>> {
    const items = await this.answers.open(order);
    if (items === undefined) throw new Error("there is no answer");
    return items[Symbol.asyncIterator]();
  }

  async read(order: AnswerRequest = this.order()): Promise<Uint8Array> {
    return readAll(await this.open(order));
  }

  /** Resolves when the answer is in the store. */
  async untilKept(): Promise<void> {
    await expect.poll(() => this.keptBytes(), { timeout: 10_000 }).toBeGreaterThan(0);
  }

  async keptBytes(): Promise<number> {
    for await (const { key, sizeBytes } of this.store.list(repositoryKeys(UUID).answerFolder)) {
      if (key === this.blobKey) return sizeBytes;
    }
    return 0;
  }

  #open(options: { readonly maxKeepingWaitMs?: number } = {}): SharedAnswers {
    const onFailure = (error: unknown) => this.failures.push(error);
    const { store } = this;
    return new AnswerSharing({ store, temporaryFolder: this.#folder, onFailure, ...options }).of({
      uuid: UUID,
      packBytes: 0,
      caller: this.caller,
    });
  }
}
