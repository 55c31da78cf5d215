/** What the engine asks of a repository. lib/repo answers; the engine itself does no I/O. */
import type { CommitHistory } from "./history/commit-history.ts";
import type { ObjectId } from "./object-id.ts";
import type { ObjectNumber, PackNumber } from "./object-numbers.ts";
import type { ObjectType } from "./pack/pack-format.ts";
import type { StreamBudget } from "./pack/stream-prefetch.ts";
import type { WorkSlices } from "./work-slices.ts";

export interface Ref {
  /** Full: `refs/heads/main`. Byte text (byte-text.ts), as all names of refs and branches are: they need not be UTF-8. */
  readonly name: string;
  readonly id: ObjectId;
  /** What an annotated tag finally points to. */
  readonly peeledId?: ObjectId;
}

/** A branch that need not exist, or what a detached HEAD names: a commit, or an annotated tag, which has `peeledId`. */
export type Head = { readonly ref: string } | { readonly id: ObjectId; readonly peeledId?: ObjectId };

/** A symbolic ref other than HEAD; the list of refs has it with the value of its target. */
export interface Symref {
  readonly name: string;
  /** Where it finally leads: a ref that is not symbolic. */
  readonly target: string;
}

/** All refs of one generation. */
export interface RefList {
  readonly head: Head;
  /** Sorted by name, in byte order. */
  readonly refs: readonly Ref[];
  /** Those among `refs` that are symbolic, in the same order. */
  readonly symrefs?: readonly Symref[] | undefined;
  /** Of the same refs; use find-refs.ts, which does without, too. */
  readonly finder?: RefFinder;
}

/**
 * How refs are written as pkt-lines: as `ls-refs` lists them, with the values of tags or without, or as the original protocol
 * advertises them, which gives tags' values in lines of their own.
 */
export type RefLineForm = "listed" | "listed-peeled" | "advertised";

/** Looks for some of many refs. */
export interface RefFinder {
  find(name: string): Ref | undefined;
  /**
   * Pkt-lines of the refs that begin with `prefix`, in byte order: whole lines, in chunks of some size.
   * @param symrefs - Those that are to have their target in the line.
   */
  lines(prefix: string, form: RefLineForm, symrefs: readonly Symref[]): Iterable<Uint8Array>;
  /** Whether each ref's value is one of `ids`. */
  hasOnlyValues(ids: ReadonlySet<ObjectId>): boolean;
  /** In byte order. */
  startingWith(prefix: string): Iterable<Ref>;
  hasValue(id: ObjectId): boolean;
}

export interface GitObject {
  readonly type: ObjectType;
  readonly bytes: Uint8Array;
}

/** An object's entry in its pack: from its head to the next entry. */
export interface EntryExtent {
  readonly packNumber: PackNumber;
  readonly offsetBytes: number;
  readonly endBytes: number;
}

/** The places of some objects' entries: columns of one length. */
export interface EntryPlaces {
  readonly objectNumbers: Uint32Array;
  readonly packNumbers: Uint32Array;
  readonly offsets: Float64Array;
  readonly ends: Float64Array;
}

/**
 * The objects of one repository. Each has a number below `objectCount`, the same however it was found, so that a set of
 * objects is an array of bytes. Some numbers are not in use.
 */
export interface ObjectReader {
  readonly objectCount: number;
  /** Of the one who reads: long work over the objects pauses by them, and ends when the reader has gone. */
  readonly slices: WorkSlices;
  /** Commits and what they introduce, without reading the packs; absent for packs that have no sidecar. */
  readonly history?: CommitHistory | undefined;
  /** @returns The number of the object whose id is at `idBytes[start]`, or -1. */
  find(idBytes: Uint8Array, start: number): ObjectNumber;
  /** @returns The object's number, or -1: also, of recent objects, for one that is there only as what others are deltas of. */
  findId(id: ObjectId): ObjectNumber;
  objectId(objectNumber: ObjectNumber): ObjectId;
  /** @throws {CorruptPackError} Its entry, or one it is a delta of, is broken or above a limit. */
  read(objectNumber: ObjectNumber): Promise<GitObject>;
  /** The same without its content. */
  readType(objectNumber: ObjectNumber): Promise<ObjectType>;
  /** Bytes of its content. */
  readSize(objectNumber: ObjectNumber): Promise<number>;
  /** Begins to read these objects and what they are deltas of, some of them at least, for `read` to have them at hand. */
  readAhead(objectNumbers: Iterable<ObjectNumber>): void;
}

/**
 * The packs themselves, oldest first. An object is taken from the oldest pack that holds it, at its first place there;
 * so a delta's base is never in a newer pack than the delta, and copied deltas cannot form a circle.
 */
export interface PackReader {
  /** Every object in use, in the order of packs and offsets. */
  allObjects(): Uint32Array;
  /** The objects that are taken from a pack have numbers from here up to the next pack's. */
  firstNumber(packNumber: PackNumber): ObjectNumber;
  /** Of all objects, the ones that are taken from this pack. */
  ownObjects(packNumber: PackNumber): Uint32Array;
  /** Puts numbers into the order of packs and offsets, in place. */
  sortByPlace(objectNumbers: Uint32Array): void;
  /** In the order given. */
  locate(objectNumbers: Uint32Array): EntryPlaces;
  packNumberOf(objectNumber: ObjectNumber): PackNumber;
  extent(objectNumber: ObjectNumber): EntryExtent;
  /** CRC-32 of the entry, from head to end. */
  crc(objectNumber: ObjectNumber): number;
  /**
   * @param delta - A delta of the object.
   * @returns The number of the object whose entry begins there. @throws {CorruptPackError} None does.
   */
  objectAt(packNumber: PackNumber, offsetBytes: number, delta: ObjectNumber): ObjectNumber;
  readPackRange(packNumber: PackNumber, offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  /** Whether the entries of two objects, which follow one another, are better read by themselves: only one is at hand, or what is between is not. */
  isApart?(objectNumber: ObjectNumber, next: ObjectNumber): boolean;
  /** Begins to read the entries of these objects, some of them at least, for `readPackRange` to have them at hand. */
  readAhead(objectNumbers: Iterable<ObjectNumber>): void;
  /** Shared by all readers of the store. */
  readonly streamBudget: StreamBudget;
  /** The same in chunks of any size, read as they are pulled: for a large copy, of which nothing is kept at hand. */
  streamPackRange(
    packNumber: PackNumber,
    offsetBytes: number,
    lengthBytes: number,
  ): AsyncIterable<Uint8Array>;
}

/** The two views of the same objects, under the same numbers. */
export interface PackedObjects extends ObjectReader {
  readonly packs: PackReader;
}

/** Bytes of a pack that can be sent as they are. */
export interface PackBody {
  /** The pack's name: 40 hex digits. */
  readonly id: string;
  readonly packBytes: number;
  /** Entries up to `sentEndBytes`. */
  readonly sentObjectCount: number;
  /** After it come only objects that older packs hold too, or the trailer. */
  readonly sentEndBytes: number;
  /** Some entries up to there hold objects that an older pack, or the pack itself, holds before. */
  readonly hasRepeats: boolean;
  /** Bytes of the pack as chunks of any size, read as they are pulled. */
  stream(offsetBytes: number, lengthBytes: number): AsyncIterable<Uint8Array>;
  /** Where a client may get the whole pack, with all that was appended to it, by itself. */
  readonly download?: PackDownload | undefined;
}

export interface PackDownload {
  /** SHA-1 at the pack's end, in hex. */
  readonly checksum: string;
  readonly protocol: "http" | "https";
  /** A bearer URL: anyone who has it can read until it expires. */
  url(): Promise<string>;
}

/** A file that a client may fetch from elsewhere. */
export interface OfferedBundle {
  /** Letters and digits. */
  readonly id: string;
  /** Grows from one bundle to the next. */
  readonly creationToken: number;
  /** A bearer URL: anyone who has it can read until it expires. */
  readonly url: string;
}

/** A piece of an answer's bytes, or a line of progress, with its line end. */
export type AnswerItem = Uint8Array | { readonly progress: string };

export interface AnswerRequest {
  /** 64 hex digits. Answers under one key are as good as each other, whenever they were made. */
  readonly key: string;
  /**
   * Makes the answer if there is none; its signal aborts when no reader is left. What it throws ends the answer for every
   * reader, and nothing is kept. Without it, only an existing answer is found.
   */
  readonly make?: (signal: AbortSignal) => AsyncIterable<AnswerItem>;
  /** Whether others may ask for the answer later; if not, only those who ask while it is made share it. */
  readonly isKept: boolean;
  /** Whether the iteration of the one who makes it ends only when it is kept, or could not be. */
  readonly endsWhenKept?: boolean;
  /** Aborts when the reader has gone, even if it never began to read. */
  readonly signal?: AbortSignal | undefined;
}

/** Answers that took work, to be given to everyone who asks for the same. */
export interface SharedAnswers {
  /** Larger answers are neither found nor to be made: the transport cannot send them. Default: no limit. */
  readonly maxBytes?: number | undefined;
  /**
   * Concurrent requests for one key share one answer, which is made for as long as it has a reader. Each reads at its
   * own pace.
   * @returns `undefined` if there is none and the order makes none. The iteration throws if the answer breaks off, also
   *   because the stored answer is damaged or was removed, which is known only at its end.
   */
  open(request: AnswerRequest): Promise<AsyncIterable<AnswerItem> | undefined>;
  /** To be called when an answer is asked for. @returns Whether it has just been asked for by others, too. */
  isRepeated(key: string): boolean;
}

/** What upload-pack serves from: one generation of one repository. */
export interface UploadPackSource {
  /** The same for one reader: its reads end when `signal` aborts. */
  forReader(signal: AbortSignal | undefined): UploadPackSource;
  /** Of all packs; some objects may count twice. */
  readonly objectCount: number;
  readRefs(): Promise<RefList>;
  openObjects(): Promise<PackedObjects>;
  /**
   * An excerpt of the same objects, under numbers of its own, that is read in place of all indexes and histories; see RecentObjects.
   * Absent or `undefined` where there is none, and where all objects are open already.
   */
  openRecent?(): Promise<PackedObjects | undefined>;
  /** Whether `openObjects` gives the recent ones alone, so that a plan may throw `BeyondRecentError`. */
  readonly isRecent?: boolean;
  /** There may be objects that no ref reaches, and those must not be served. */
  readonly mayHoldUnreachable: boolean;
  /** All packs, in the order of their numbers: together every object. */
  readonly packBodies: readonly PackBody[];
  /** For their streams: shared by all readers of the store. */
  readonly streamBudget: StreamBudget;
  /** The objects of some packs alone, under other numbers: each pack holds the bases of its own deltas. */
  openPacks(packNumbers: readonly number[]): Promise<PackedObjects>;
  /** Whether packs may have a `download`, and there may be bundles. */
  readonly handsOutUrls: boolean;
  /** Bundles for the beginning of a clone, each of what the refs reach; each needs those before it. */
  offerBundles(): Promise<readonly OfferedBundle[]>;
  /** Absent where every answer is made for the one who asks. */
  readonly answers?: SharedAnswers | undefined;
  /** Where it is kept how large answers are put together; absent where a plan is made in less time than it takes to look. */
  readonly recipes?: SharedAnswers | undefined;
}
