/** One random interleaving of syncs, a compaction and the janitor on one repository whose primary moves meanwhile. */
import { VersionConflictError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { compactRepository } from "../../../lib/repo/compaction/compact-repository.ts";
import { tidyRepository } from "../../../lib/repo/janitor.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { type Manifest, manifestDocument } from "../../../lib/repo/manifest.ts";
import { openRepository } from "../../../lib/repo/repository.ts";
import { NO_DOCUMENT, type Stored } from "../../../lib/repo/stored-document.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { DEFAULT_SLICE_LIMITS } from "../../../lib/sync/slice-size.ts";
import { DEFAULT_SYNC_LIMITS } from "../../../lib/sync/sync-context.ts";
import { syncRepository } from "../../../lib/sync/sync-repository.ts";
import { EAGER } from "../compaction-policies.ts";
import { Random } from "../differential/random.ts";
import { type BlobCall, type CallFault, SimulatedStoreError } from "../store/blob-faults.ts";
import { MemoryBlobStore } from "../store/memory-blob-store.ts";
import { NumberedPrimary } from "./numbered-primary.ts";
import { Scheduler, type Step } from "./scheduler.ts";
import { SteppedBlobStore } from "./stepped-blob-store.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
const KEYS = repositoryKeys(UUID);
const DAY_MS = 86_400_000;
const ROUNDS = 3;

/** A large first sync takes one commit at a time. */
const ONE_BY_ONE = { ...DEFAULT_SYNC_LIMITS, slices: { ...DEFAULT_SLICE_LIMITS, minBytes: 1, maxBytes: 1 } };

export interface InterleavingReport {
  readonly steps: number;
  readonly generations: number;
  readonly lostRaces: number;
}

/** @throws {Error} Something was lost or went back; it says what. */
export async function runInterleaving(seed: number): Promise<InterleavingReport> {
  return new Interleaving(seed).run();
}

class Interleaving {
  readonly #random: Random;
  readonly #primary: NumberedPrimary;
  readonly #store: MemoryBlobStore;
  readonly #scheduler: Scheduler;
  readonly #startedMs = Date.now();
  #day = 0;
  #isFaulty = true;
  readonly #isLarge: boolean;
  #lostRaces = 0;
  #published: Manifest | undefined;
  #checked: Stored<Manifest> = NO_DOCUMENT;
  /** The primary's state that the published refs are at least as new as. */
  #publishedState = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#primary = new NumberedPrimary(new Random(seed, 1));
    this.#isLarge = this.#random.chance(0.3);
    if (this.#isLarge) for (let count = 0; count < 6; count++) this.#primary.push();
    const faults = new Random(seed, 2);
    this.#store = new MemoryBlobStore({
      faults: { before: (call) => this.#before(call, faults), after: (call) => this.#after(call, faults) },
    });
    this.#scheduler = new Scheduler(this.#random, () => this.#check());
  }

  async run(): Promise<InterleavingReport> {
    for (; this.#day < ROUNDS; this.#day++) {
      this.#isFaulty = true;
      await this.#scheduler.run(this.#programs());
      this.#isFaulty = false;
      await this.#scheduler.run([(step) => this.#sync(step)]);
      await this.#expectLikePrimary();
    }
    await this.#expectTidy();
    const { stepCount: steps } = this.#scheduler;
    return { steps, generations: this.#published?.generation ?? 0, lostRaces: this.#lostRaces };
  }

  #programs(): ((step: Step) => Promise<void>)[] {
    const pushCount = this.#random.between(1, 4);
    const programs = [
      async (step: Step) => {
        for (let count = 0; count < pushCount; count++) {
          await step();
          this.#primary.push();
        }
      },
      (step: Step) => this.#syncTwice(step),
      (step: Step) => this.#syncTwice(step),
    ];
    if (this.#random.chance(0.5)) programs.push((step) => this.#compact(step));
    if (this.#random.chance(0.5)) programs.push((step) => this.#tidy(step));
    return programs;
  }

  readonly #now = () => new Date(this.#startedMs + this.#day * 2 * DAY_MS + this.#scheduler.stepCount);

  async #syncTwice(step: Step): Promise<void> {
    for (let count = 0; count < 2; count++) await survivingFaults(() => this.#sync(step));
  }

  async #sync(step: Step): Promise<void> {
    const store = new SteppedBlobStore(this.#store, step);
    const info = (event: string) => {
      if (event === "sync:race-lost") this.#lostRaces += 1;
    };
    await syncRepository(UUID, {
      storage: { store, blocks: new BlockCache(store) },
      upstream: this.#primary.upstream(step),
      log: { ...SILENT_LOGGER, info },
      now: this.#now,
      notesVerified: true,
      ...(this.#isLarge && { expectedBytes: 2 ** 30 }),
      limits: ONE_BY_ONE,
    });
  }

  async #compact(step: Step): Promise<void> {
    const store = new SteppedBlobStore(this.#store, step);
    await survivingFaults(() => compactRepository(UUID, { store, policy: EAGER, now: this.#now }));
  }

  async #tidy(step: Step): Promise<void> {
    // Uploads of today are not days old, though the clock is ahead.
    const store = new SteppedBlobStore(this.#store, step, this.#now().getTime() - Date.now());
    await tidyRepository(UUID, { store, now: this.#now });
  }

  #before({ kind, key }: BlobCall, random: Random): CallFault | undefined {
    if (!this.#isFaulty || kind !== "write" || key !== KEYS.manifest) return undefined;
    if (random.chance(0.1)) return { landsAfterCalls: random.between(1, 20) };
    return this.#published !== undefined && random.chance(0.1) ? "lose-race" : undefined;
  }

  #after({ kind, key }: BlobCall, random: Random): void {
    if (!this.#isFaulty || kind !== "write" || key !== KEYS.manifest) return;
    if (random.chance(0.05))
      throw new VersionConflictError("the write was repeated below the store", { key });
    if (random.chance(0.05)) throw new SimulatedStoreError("the answer was lost");
  }

  /** Holds what is published now against what was before. */
  async #check(): Promise<void> {
    const next = await this.#readManifest();
    const last = this.#published;
    if (next === undefined) {
      if (last !== undefined) throw new Error("the manifest is gone");
      return;
    }
    const generation = last?.generation ?? 0;
    if (JSON.stringify({ ...next, verifiedAt: "" }) !== JSON.stringify({ ...last, verifiedAt: "" })) {
      if (next.generation !== generation + 1)
        throw new Error(`generation ${next.generation} was published after ${generation}`);
    }
    if (last !== undefined && next.verifiedAt < last.verifiedAt)
      throw new Error("the time verified went back");
    const states = this.#primary.statesOf(next.refs.sha256);
    const state = states.find((number) => number >= this.#publishedState);
    if (state === undefined)
      throw new Error(`refs of state ${states.join(" or ")} were published after ${this.#publishedState}`);
    this.#publishedState = state;
    this.#published = next;
  }

  async #expectLikePrimary(): Promise<void> {
    if (this.#published?.refs.sha256 !== this.#primary.snapshotSha256)
      throw new Error("the refs are not the primary's");
    const store = this.#store;
    const repository = await openRepository({ store, blocks: new BlockCache(store) }, UUID);
    const objects = await repository.openObjects();
    const { refs } = await repository.readRefs();
    for (const id of this.#primary.objects.closure(refs.map((ref) => ref.id))) {
      const number = objects.findId(id);
      if (number < 0) throw new Error(`object ${id} is missing`);
      const { bytes } = await objects.read(number);
      if (Buffer.compare(bytes, this.#primary.objects.at(id).bytes) !== 0)
        throw new Error(`object ${id} is another`);
    }
  }

  /** Two more days, and only what the manifest names is left. */
  async #expectTidy(): Promise<void> {
    for (let count = 0; count < 2; count++) {
      this.#day += 1;
      await tidyRepository(UUID, { store: this.#store, now: this.#now });
    }
    const { packs, refs } = this.#published ?? { packs: [], refs: undefined };
    const expected = packs.flatMap(({ id, historyBytes, lfsBytes }) => [
      ...(!historyBytes ? [] : [KEYS.packHistory(id)]),
      KEYS.packIndex(id),
      ...(lfsBytes === 0 ? [] : [KEYS.packLfs(id)]),
      KEYS.pack(id),
    ]);
    const found = [...(await keysOf(this.#store, KEYS.packFolder))];
    if (found.toSorted().join() !== expected.toSorted().join())
      throw new Error(`packs are left over or missing: ${found.join(" ")}`);
    const snapshots = await keysOf(this.#store, KEYS.refSnapshotFolder);
    if (snapshots.join() !== KEYS.refSnapshot(refs?.snapshotId ?? ""))
      throw new Error(`ref snapshots are left over or missing: ${snapshots.join(" ")}`);
    await this.#expectLikePrimary();
  }

  async #readManifest(): Promise<Manifest | undefined> {
    this.#checked = await manifestDocument(this.#store, UUID).readIfChanged(this.#checked);
    return this.#checked.value;
  }
}

/** A sync or compaction that the store fails is given up; the next one goes on. */
async function survivingFaults(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof VersionConflictError || error instanceof SimulatedStoreError)) throw error;
  }
}

async function keysOf(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
