/**
 * Kinds of numbers that the compiler keeps apart: one kind is never taken for another. A plain number, as arithmetic and
 * typed arrays give it, fits each of them. At run time there is no difference.
 */

declare const kind: unique symbol;
type Kind<Name extends string> = number & { readonly [kind]?: Name };

/** An object of a repository, see `ObjectReader`. -1 where there is none. */
export type ObjectNumber = Kind<"object">;

/** A pack of a repository: its place in the manifest, oldest first. */
export type PackNumber = Kind<"pack">;

/** An entry of one pack's index: its place among the sorted ids. -1 where there is none. */
export type IndexNumber = Kind<"index">;

/** An entry of one pack: its place among the entries by offset. */
export type EntryRank = Kind<"rank">;

/** A commit of a `CommitHistory`: its place there. -1 for other objects. */
export type HistoryRow = Kind<"history-row">;

/** A commit of a `CommitTable`: its place there. */
export type CommitRow = Kind<"commit-row">;
