/** The parts of indexing a pack that any thread can do. One object per thread; it owns that thread's memory. */
import { closeSync, openSync } from "node:fs";
import { OBJECT_ID_BYTES } from "../git/object-id.ts";
import { findEntryBoundary } from "../git/pack/entry-boundary.ts";
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { EntryTable, type SharedEntryTable } from "../git/pack/entry-table.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import type { PackLimits } from "../git/pack/limits.ts";
import { ObjectIdSet } from "../git/pack/object-id-set.ts";
import { DeltaResolver } from "../git/pack/resolve-deltas.ts";
import { PackScanner } from "../git/pack/scan.ts";
import { CachedFilePackSource } from "./cached-file-pack-source.ts";
import { FilePackSource, PackFileProgress } from "./file-pack-source.ts";

/** Plain data: it goes to a worker thread. */
export interface IndexTaskOptions {
  readonly packFile: string;
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

export type IndexTask = ScanTask | ResolveTask | CheckLinksTask;

/** Links whose target is not in the pack, or is there with another type than the link says. */
export interface OpenLinks {
  /** 20 bytes each. */
  readonly ids: Uint8Array;
  /** Per id, the types it is referred to as: see `linkFlag`. */
  readonly flags: Uint8Array;
}

export type IndexTaskResult<T extends IndexTask> = T extends ScanTask
  ? ScannedEntries
  : T extends CheckLinksTask
    ? OpenLinks
    : undefined;

export class IndexTasks {
  readonly #options: IndexTaskOptions;
  readonly #fileDescriptor: number;
  readonly #progress: PackFileProgress;
  readonly #links = new ObjectIdSet();
  #scanner: PackScanner | undefined;

  constructor(options: IndexTaskOptions) {
    this.#options = options;
    this.#progress = new PackFileProgress(options.progress);
    this.#fileDescriptor = openSync(options.packFile, "r");
  }

  close(): void {
    closeSync(this.#fileDescriptor);
  }

  run(task: IndexTask): ScannedEntries | OpenLinks | undefined {
    if (task.kind === "scan") return this.#scan(task);
    if (task.kind === "resolve") return this.#resolve(task);
    return this.#checkLinks(task);
  }

  #scan({ startOffsetBytes, stopOffsetBytes, startIsEntry }: ScanTask): ScannedEntries {
    this.#scanner ??= new PackScanner({ ...this.#options, links: this.#links });
    const source = new FilePackSource(this.#fileDescriptor, this.#progress);
    const start = startIsEntry
      ? startOffsetBytes
      : findEntryBoundary(source, startOffsetBytes, stopOffsetBytes);
    return this.#scanner.scan(source, start, stopOffsetBytes);
  }

  #resolve({ table, entryCount, roots, nextRoot }: ResolveTask): undefined {
    // The scan's arena is not needed any more, and this one is as large.
    this.#scanner = undefined;
    const source = new CachedFilePackSource(this.#fileDescriptor, this.#progress.availableBytes);
    const resolver = new DeltaResolver(new EntryTable(table), entryCount, source, {
      ...this.#options,
      links: this.#links,
    });
    const rootNumbers = new Uint32Array(roots);
    const next = new Int32Array(nextRoot);
    for (let i = Atomics.add(next, 0, 1); i < rootNumbers.length; i = Atomics.add(next, 0, 1)) {
      resolver.resolveBelow(rootNumbers[i] as number);
    }
    return undefined;
  }

  #checkLinks({ index, types }: CheckLinksTask): OpenLinks {
    const packIndex = new PackIndex(index);
    const { ids, flags } = this.#links.export();
    let open = 0;
    for (let i = 0; i < flags.length; i++) {
      const number = packIndex.findBytes(ids, i * OBJECT_ID_BYTES);
      if (number >= 0 && flags[i] === 1 << (types[number] as number)) continue;
      ids.copyWithin(open * OBJECT_ID_BYTES, i * OBJECT_ID_BYTES, (i + 1) * OBJECT_ID_BYTES);
      flags[open++] = flags[i] as number;
    }
    return { ids: ids.slice(0, open * OBJECT_ID_BYTES), flags: flags.slice(0, open) };
  }
}
