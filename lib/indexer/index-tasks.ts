/** The parts of indexing a pack that any thread can do. One object per thread; it owns that thread's memory. */
import { findEntryBoundary } from "../git/pack/entry-boundary.ts";
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { EntryTable, type SharedEntryTable } from "../git/pack/entry-table.ts";
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

export interface ScanTask {
  readonly kind: "scan";
  readonly startOffsetBytes: number;
  readonly stopOffsetBytes: number;
  /** Whether an entry is known to begin at the start; else the first likely one is taken. */
  readonly startIsEntry: boolean;
}

export interface ResolveTask {
  readonly kind: "resolve";
  readonly table: SharedEntryTable;
  readonly entryCount: number;
  /** Entry numbers below which there are deltas to resolve. */
  readonly roots: SharedArrayBuffer;
  /** Which root is next; the threads take turns. */
  readonly nextRoot: SharedArrayBuffer;
}

export interface CheckLinksTask {
  readonly kind: "check-links";
  /** The pack's index. */
  readonly index: Uint8Array;
  /** The types of its objects, in its order. */
  readonly types: Uint8Array;
}

/** Hands over the pointers of git-lfs that were seen, as `LfsPointerCollector` takes them. */
interface TakeLfsPointersTask {
  readonly kind: "take-lfs-pointers";
}

/** What was collected so far is not to be trusted. */
interface ForgetLinksTask {
  readonly kind: "forget-links";
}

export type IndexTask =
  | ReadCommitsTask
  | IntroduceTask
  | ScanTask
  | ResolveTask
  | CheckLinksTask
  | TakeLfsPointersTask
  | ForgetLinksTask;

/** Links whose target is not in the pack, or is there with another type than the link says. */
export interface OpenLinks {
  /** 20 bytes each. */
  readonly ids: Uint8Array;
  /** Per id, the types it is referred to as: see `linkFlag`. */
  readonly flags: Uint8Array;
}

export type IndexTaskResult<T extends IndexTask> = T extends ReadCommitsTask
  ? ReadCommits
  : T extends IntroduceTask
    ? Introduced | undefined
    : T extends ScanTask
      ? ScannedEntries
      : T extends CheckLinksTask
        ? OpenLinks
        : T extends TakeLfsPointersTask
          ? Uint8Array
          : undefined;

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

  run(task: IndexTask): ScannedEntries | OpenLinks | ReadCommits | Introduced | Uint8Array | undefined {
    if (task.kind === "scan") return this.#scan(task);
    if (task.kind === "resolve") return this.#resolve(task);
    if (task.kind === "read-commits") return readCommits(task, this.#resolverOf(task));
    if (task.kind === "introduce") return introduce(task, this.#resolverOf(task));
    if (task.kind === "take-lfs-pointers") return this.#lfsPointers.take();
    if (task.kind === "forget-links") return this.#forgetLinks();
    return this.#checkLinks(task);
  }

  #scan({ startOffsetBytes, stopOffsetBytes, startIsEntry }: ScanTask): ScannedEntries {
    this.#scanner ??= new PackScanner(this.#scanOptions());
    const source = new FilePackSource(this.#options.fileDescriptor, this.#progress);
    const start = startIsEntry
      ? startOffsetBytes
      : findEntryBoundary(source, startOffsetBytes, stopOffsetBytes, this.#inflater);
    return this.#scanner.scan(source, start, stopOffsetBytes);
  }

  #resolve({ table, entryCount, roots, nextRoot }: ResolveTask): undefined {
    const resolver = this.#resolverOf({ table, entryCount });
    const rootNumbers = new Uint32Array(roots);
    const next = new Int32Array(nextRoot);
    for (let i = Atomics.add(next, 0, 1); i < rootNumbers.length; i = Atomics.add(next, 0, 1)) {
      resolver.resolveBelow(rootNumbers[i] as number);
    }
    return undefined;
  }

  /** One for all rounds and tasks, until bases are appended to the pack. */
  #resolverOf({ table, entryCount }: Pick<ResolveTask, "table" | "entryCount">): DeltaResolver {
    // Its columns are not needed any more.
    this.#scanner = undefined;
    if (this.#resolver?.entryCount === entryCount) return this.#resolver;
    const source = new CachedFilePackSource(this.#options.fileDescriptor, this.#progress.availableBytes);
    this.#resolver = new DeltaResolver(new EntryTable(table), entryCount, source, this.#scanOptions());
    return this.#resolver;
  }

  #forgetLinks(): undefined {
    this.#links = new ObjectIdSet();
    this.#lfsPointers.take();
    this.#scanner = undefined;
    return undefined;
  }

  #checkLinks({ index, types }: CheckLinksTask): OpenLinks {
    const packIndex = new PackIndex(index);
    return this.#links.select((ids, start, flags) => {
      const number = packIndex.findBytes(ids, start);
      return number < 0 || flags !== 1 << (types[number] as number);
    });
  }

  #scanOptions(): ScanOptions {
    const { limits } = this.#options;
    return {
      limits,
      arena: this.#arena,
      links: this.#links,
      lfsPointers: this.#lfsPointers,
      inflater: this.#inflater,
    };
  }
}
