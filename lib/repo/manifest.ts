/** The manifest: the small document that says what a mirrored repository is right now. The one commit point. */
import * as z from "zod/mini";
import { NotFoundError } from "../errors.ts";
import type { WholeBlobs } from "../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { type DocumentForm, type Stored, StoredDocument } from "./stored-document.ts";

const hex40 = z.string().check(z.regex(/^[0-9a-f]{40}$/));
const count = z.number().check(z.int(), z.nonnegative());

export const packSchema = z.object({
  /** 40 hex digits, random: the name has to be known before the content is. */
  id: hex40,
  packBytes: count,
  indexBytes: count,
  /**
   * Of the history sidecar, in this release's form. 0 where it would exceed the limits. Absent where another release stored the
   * pack, with a form of its own: the next sync makes this one.
   */
  historyBytes: z.optional(count),
  /**
   * Of the sidecar of LFS pointers. 0: the pack has no pointer, and no sidecar is stored. Absent where another release stored the pack, or
   * the sidecar was made later.
   */
  lfsBytes: z.optional(count),
  /** Entries in the pack, with the appended bases. */
  objectCount: count,
  /**
   * Entries as the primary sent them. The rest are the bases a thin pack lacked, appended at its end; older packs hold
   * them too.
   */
  sentObjectCount: count,
  /** Where the entries that the primary sent end and the appended bases (or the trailer) begin. */
  sentEndBytes: count,
  /** Entries sent by the primary although an older pack, or this one, already held the object. */
  repeatedObjectCount: count,
  /** SHA-1 at the pack's end. Absent where a client could not index the pack by itself. */
  checksum: z.optional(hex40),
});

const manifestSchema = z.object({
  /** One up at each publish. */
  generation: count,
  /** HEAD: a branch that need not exist, or an object that is no tag. See `refs.headTagId`. */
  head: z.union([z.object({ ref: z.string() }), z.object({ commitId: hex40 })]),
  refs: z.object({
    /** 40 hex digits, random, so that a snapshot that the janitor removes is never one that is just written again. */
    snapshotId: hex40,
    sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
    refCount: count,
    snapshotBytes: count,
    // Here and not in `head`, so that a release that does not know them leaves them out of its next generation.
    /** The annotated tag that a detached HEAD names, and a ref as well; it finally points to `head.commitId`. */
    headTagId: z.optional(hex40),
    /** Symbolic refs other than HEAD, sorted by name. */
    symrefs: z.optional(z.array(z.object({ name: z.string(), target: z.string() }))),
  }),
  /** Oldest first. An object is read from the first pack that holds it. */
  packs: z.array(packSchema),
  /** After a deletion or a rewind: the packs may hold objects that no ref reaches, so they may not be copied whole. */
  mayHoldUnreachable: z.boolean(),
  /** When packs were last rewritten without what no ref reaches; absent if they never were. */
  unreachableDroppedAt: z.optional(z.iso.datetime()),
  publishedAt: z.iso.datetime(),
  /** The primary's refs were this generation's at this time. */
  verifiedAt: z.iso.datetime(),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestPack = z.infer<typeof packSchema>;
export type StoredManifest = Stored<Manifest> & { readonly value: Manifest };

const FORM: DocumentForm<Manifest> = {
  schema: manifestSchema,
  whenDamaged: "throw",
  checksum: "needed",
  // What a newer release says of a ref snapshot is not true of the next one.
  identify: ({ id, snapshotId }) => id ?? snapshotId,
  indent: 1,
};

export function manifestDocument(store: WholeBlobs, uuid: RepositoryUuid): StoredDocument<Manifest> {
  return new StoredDocument(store, repositoryKeys(uuid).manifest, FORM);
}

/**
 * One request. @throws {NotFoundError} Nothing was ever published. @throws {StoredDocumentError} It is damaged.
 * @throws {ConfigError} Only a newer release understands it.
 */
export async function readManifest(
  store: WholeBlobs,
  uuid: RepositoryUuid,
  known?: StoredManifest,
): Promise<StoredManifest> {
  const document = manifestDocument(store, uuid);
  const stored = await (known === undefined ? document.read() : document.readIfChanged(known));
  if (stored === known) return known;
  if (stored.value === undefined) throw new NotFoundError("nothing was published", { key: document.key });
  return { ...stored, value: stored.value };
}
