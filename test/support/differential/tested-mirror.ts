/** A mirror in memory that follows one primary, asked as over HTTP but without a connection. */

import type { RefList } from "../../../lib/git/ports.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import type { HttpHandler } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { AnswerSharing } from "../../../lib/repo/answers/answer-sharing.ts";
import {
  type CompactionOutcome,
  compactRepository,
} from "../../../lib/repo/compaction/compact-repository.ts";
import { tidyRepository } from "../../../lib/repo/janitor.ts";
import { openRepository, type RepositoryStorage } from "../../../lib/repo/repository.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { writeRecentObjects } from "../../../lib/repo/write-recent.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { prepareRepository } from "../../../lib/sync/prepare-repository.ts";
import { syncRepository } from "../../../lib/sync/sync-repository.ts";
import { OPEN_ACCESS } from "../open-access.ts";
import { MemoryBlobStore } from "../store/memory-blob-store.ts";
import type { GitShell } from "./git-shell.ts";
import { processUpstream } from "./process-upstream.ts";
import type { Random } from "./random.ts";

const UUID = "d1ffe7e4-0000-4000-8000-000000000001";

export interface MirrorAnswer {
  readonly status: number;
  readonly bytes: Uint8Array;
  /** What the mirror logged as an error meanwhile. */
  readonly failures: readonly unknown[];
  /** Recent objects were read, and no index. */
  readonly isFromRecent: boolean;
}

export class TestedMirror {
  readonly #shell: GitShell;
  readonly #repository: string;
  readonly #storage: RepositoryStorage;
  readonly #handle: () => HttpHandler;
  readonly #random: Random;
  readonly #failures: unknown[] = [];
  readonly #readKeys = new Set<string>();

  /**
   * @param repository - The primary's folder.
   * @param random - Decides whether answers are kept and given again, and some prepared after each sync; whether each request comes to a
   *   process that has served nothing; and how much is recent for such processes.
   */
  constructor(shell: GitShell, repository: string, random: Random) {
    this.#shell = shell;
    this.#repository = repository;
    this.#random = random;
    const sharesAnswers = random.chance(0.5);
    const isCold = random.chance(0.7);
    const store = new MemoryBlobStore();
    const read = store.read.bind(store);
    store.read = (key, options) => {
      this.#readKeys.add(key);
      return read(key, options);
    };
    const onFailure = (error: unknown, key: string) => void this.#failures.push({ error, key });
    const answers = new AnswerSharing({ store, onFailure });
    this.#storage = {
      store,
      blocks: new BlockCache(store),
      onDamage: onFailure,
      ...(sharesAnswers && { answers, minRecipePackBytes: 0 }),
    };
    const log = {
      ...SILENT_LOGGER,
      error: (event: string, fields = {}) => void this.#failures.push({ event, ...fields }),
    };
    const start = (): HttpHandler => {
      const catalog = new RepositoryCatalog(this.#storage);
      return gitHttp({ ...OPEN_ACCESS, find: () => catalog.open(UUID), log, agent: "nearside/test" });
    };
    const warm = start();
    this.#handle = isCold ? start : () => warm;
  }

  async sync(refList: RefList): Promise<void> {
    await syncRepository(UUID, {
      storage: this.#storage,
      upstream: processUpstream(this.#shell, this.#repository, () => refList),
      log: SILENT_LOGGER,
    });
    const warn = (event: string, fields = {}) => void this.#failures.push({ event, ...fields });
    const options = { storage: this.#storage, log: { ...SILENT_LOGGER, warn } };
    await prepareRepository(UUID, options);
    await this.#keepRecent();
  }

  async #keepRecent(): Promise<void> {
    const repository = await openRepository(this.#storage, UUID);
    const [objects, refList] = await Promise.all([repository.openObjects(), repository.readRefs()]);
    const maxObjects = this.#random.pick([30, 100, 300, 1000, 10_000]);
    const maxHeldBytes = this.#random.pick([0, 1000, 100_000]);
    const minPlacedPackBytes = this.#random.pick([0, Number.POSITIVE_INFINITY]);
    await writeRecentObjects(this.#storage.store, repository, {
      ...{ objects, refList, maxObjects, maxHeldBytes, minPlacedPackBytes },
    });
  }

  /** Merges some packs, or drops what no ref reaches, or neither, at random; and removes the old packs at once. */
  async compact(random: Random): Promise<CompactionOutcome["kind"] | "not-tried"> {
    if (random.chance(0.4)) return "not-tried";
    const { store } = this.#storage;
    const policy = {
      keepRecent: random.below(3),
      minMerged: 2,
      ratio: random.pick([0.2, 2, Number.POSITIVE_INFINITY]),
      smallPackBytes: 1,
      droppedBytesPerDay: random.pick([1, Number.POSITIVE_INFINITY]),
    };
    const { kind } = await compactRepository(UUID, { store, policy });
    const janitorPolicy = { graceMs: 0, intervalMs: 0, maxRemoved: 1000, maxNoted: 1000 };
    await tidyRepository(UUID, { store, policy: janitorPolicy });
    if (random.chance(0.7)) await this.#keepRecent();
    return kind;
  }

  advertisement(protocol: 0 | 2): Promise<MirrorAnswer> {
    return this.#send("GET", "info/refs", protocol, new Uint8Array(0));
  }

  async ask(protocol: 0 | 1 | 2, request: Uint8Array): Promise<MirrorAnswer> {
    // Where answers are shared, the second one is often read out of the store.
    const first = await this.#send("POST", "git-upload-pack", protocol, request);
    if (this.#storage.answers === undefined || first.failures.length > 0) return first;
    return this.#send("POST", "git-upload-pack", protocol, request);
  }

  async #send(method: string, endpoint: string, protocol: number, body: Uint8Array): Promise<MirrorAnswer> {
    this.#readKeys.clear();
    const response = await this.#handle()({
      method,
      path: `/acme/repository.git/${endpoint}`,
      query: new URLSearchParams(method === "GET" ? "service=git-upload-pack" : ""),
      headers: {
        "content-type": "application/x-git-upload-pack-request",
        ...(protocol === 0 ? {} : { "git-protocol": `version=${protocol}` }),
      },
      body: chunksOf(body),
      signal: new AbortController().signal,
    });
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of response.body) chunks.push(chunk);
    } catch (error) {
      // A transport would cut the connection here.
      this.#failures.push(error);
    }
    const readKeys = [...this.#readKeys];
    const isFromRecent =
      readKeys.some((key) => key.includes("/recent-")) && !readKeys.some((key) => key.endsWith(".idx"));
    return {
      ...{ status: response.status, bytes: Buffer.concat(chunks), failures: this.#failures.splice(0) },
      isFromRecent,
    };
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}
