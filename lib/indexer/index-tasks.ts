/** The parts of indexing a pack that any thread can do. One object per thread; it owns that thread's memory. */
import { findEntryBoundary } from "../git/pack/entry-boundary.ts";
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { EntryTable } from "../git/pack/entry-table.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import { EntryInflater } from "../git/pack/inflate.ts";
import { LfsPointerCollector } from "../git/pack/lfs-pointers.ts";
import type { PackLimits } from "../git/pack/limits.ts";
import { ObjectArena } from "../git/pack/object-arena.ts";
import { ObjectIdSet } from "../git/pack/object-id-set.ts";
import { DeltaResolver } from "../git/pack/resolve-deltas.ts";
import { PackScanner, type ScanOptions } from "../git/pack/scan.ts";
import { CachedFilePackSource } from "./cached-file-pack-source.ts";
import { FilePackSource, PackFileProgress } from "./file-pack-source.ts";
import {
  type EntriesTask,
  type Introduced,
  type IntroduceTask,
  introduce,
  type ReadCommits,
  type ReadCommitsTask,
  readCommits,
} from "./history-tasks.ts";

/** Plain data: it goes to a worker thread. */
export interface IndexTaskOptions {
  /** Of the pack, open for reading; all threads of a process share it. */
  readonly fileDescriptor: number;
  readonly progress: SharedArrayBuffer;
  readonly limits: PackLimits;
  readonly arenaBytes: number;
}

/** Links whose target is not in the pack, or is there with another type than the link says. */
export interface OpenLinks {
  /** 20 bytes each. */
  readonly ids: Uint8Array;
  /** Per id, the types it is referred to as: see `linkFlag`. */
  readonly flags: Uint8Array;
}

/** Each takes a task as plain data and returns plain data: both go between threads. */
export class IndexTasks {
  readonly #options: IndexTaskOptions;
  readonly #progress: PackFileProgress;
  #links = new ObjectIdSet();
  readonly #lfsPointers = new LfsPointerCollector();
  readonly #arena: ObjectArena;
  /** The only one: see `isReady` in index-threads.ts. */
  readonly #inflater = new EntryInflater();
  #scanner: PackScanner | undefined;
  #resolver: DeltaResolver | undefined;

  constructor(options: IndexTaskOptions) {
    this.#options = options;
    this.#arena = new ObjectArena(options.arenaBytes);
    this.#progress = new PackFileProgress(options.progress);
  }

  /** @param task - `startIsEntry`: an entry is known to begin at the start; else the first likely one is taken. */
  scan(task: { startOffsetBytes: number; stopOffsetBytes: number; startIsEntry: boolean }): ScannedEntries {
    const { startOffsetBytes, stopOffsetBytes, startIsEntry } = task;
    this.#scanner ??= new PackScanner(this.#scanOptions());
    const source = new FilePackSource(this.#options.fileDescriptor, this.#progress);
    const start = startIsEntry
      ? startOffsetBytes
      : findEntryBoundary(source, startOffsetBytes, stopOffsetBytes, this.#inflater);
    return this.#scanner.scan(source, start, stopOffsetBytes);
  }

  /**
   * @param task - `roots`: entry numbers below which there are deltas to resolve. `nextRoot`: which one is next; the threads
   *   take turns.
   */
  resolve(task: EntriesTask & { roots: SharedArrayBuffer; nextRoot: SharedArrayBuffer }): undefined {
    const resolver = this.#resolverOf(task);
    const roots = new Uint32Array(task.roots);
    const next = new Int32Array(task.nextRoot);
    for (let i = Atomics.add(next, 0, 1); i < roots.length; i = Atomics.add(next, 0, 1)) {
      resolver.resolveBelow(roots[i] as number);
    }
    return undefined;
  }

  readCommits(task: ReadCommitsTask): ReadCommits {
    return readCommits(task, this.#resolverOf(task));
  }

  introduce(task: IntroduceTask): Introduced | undefined {
    return introduce(task, this.#resolverOf(task));
  }

  /** Hands over the pointers of git-lfs among the resolved deltas. */
  takeLfsPointers(): Uint8Array<ArrayBuffer> {
    return this.#lfsPointers.take();
  }

  /** For links collected so far that are not to be trusted. */
  forgetLinks(): undefined {
    this.#links = new ObjectIdSet();
    this.#scanner = undefined;
    return undefined;
  }

  /** @param task - The pack's index, and the types of its objects, in its order. */
  checkLinks({ index, types }: { index: Uint8Array; types: Uint8Array }): OpenLinks {
    const packIndex = new PackIndex(index);
    return this.#links.select((ids, start, flags) => {
      const number = packIndex.findBytes(ids, start);
      return number < 0 || flags !== 1 << (types[number] as number);
    });
  }

  /** One for all rounds and tasks, until bases are appended to the pack. */
  #resolverOf({ table, entryCount }: EntriesTask): DeltaResolver {
    // Its columns are not needed any more.
    this.#scanner = undefined;
    if (this.#resolver?.entryCount === entryCount) return this.#resolver;
    const source = new CachedFilePackSource(this.#options.fileDescriptor, this.#progress.availableBytes);
    this.#resolver = new DeltaResolver(new EntryTable(table), entryCount, source, {
      ...this.#scanOptions(),
      lfsPointers: this.#lfsPointers,
    });
    return this.#resolver;
  }

  #scanOptions(): ScanOptions {
    return {
      limits: this.#options.limits,
      arena: this.#arena,
      links: this.#links,
      inflater: this.#inflater,
    };
  }
}

export type IndexTaskName = keyof IndexTasks;
export type IndexTaskOf<Name extends IndexTaskName> = Parameters<IndexTasks[Name]>;
export type IndexResultOf<Name extends IndexTaskName> = ReturnType<IndexTasks[Name]>;
