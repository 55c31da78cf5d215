/** The manifest: the small document that says what a mirrored repository is right now. The one commit point. */
import { z } from "zod";
import { ConfigError, DamagedRepositoryError } from "../errors.ts";

const hex40 = z.string().regex(/^[0-9a-f]{40}$/);
const count = z.number().int().nonnegative();

const FORMAT_VERSION = 1;
const versionSchema = z.object({ formatVersion: count });

export const packSchema = z.strictObject({
  /** 40 hex digits, random: the name has to be known before the content is. */
  id: hex40,
  packBytes: count,
  indexBytes: count,
  /** Of the history sidecar; absent where there is none. */
  historyBytes: count.optional(),
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
  /** SHA-1 at the pack's end. Absent where a client could not index the pack by itself, and in older manifests. */
  checksum: hex40.optional(),
});

const manifestSchema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  /** One up at each publish. */
  generation: count,
  /** HEAD: a branch that need not exist, or a commit. */
  head: z.union([z.strictObject({ ref: z.string() }), z.strictObject({ commitId: hex40 })]),
  refs: z.strictObject({
    /** 40 hex digits, random, so that a snapshot that the janitor removes is never one that is just written again. */
    snapshotId: hex40,
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    refCount: count,
    snapshotBytes: count,
  }),
  /** Oldest first. An object is read from the first pack that holds it. */
  packs: z.array(packSchema),
  /** After a deletion or a rewind: the packs may hold objects that no ref reaches, so they may not be copied whole. */
  mayHoldUnreachable: z.boolean(),
  /** When packs were last rewritten without what no ref reaches; absent if they never were. */
  unreachableDroppedAt: z.iso.datetime().optional(),
  publishedAt: z.iso.datetime(),
  /** The primary's refs were this generation's at this time. */
  verifiedAt: z.iso.datetime(),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestPack = z.infer<typeof packSchema>;

/**
 * @throws {DamagedRepositoryError} Not a manifest.
 * @throws {ConfigError} A manifest of another release: it is whole, and must not be taken for damage.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new DamagedRepositoryError("manifest is not JSON", { cause: error });
  }
  const version = versionSchema.safeParse(json).data?.formatVersion;
  if (version !== undefined && version > FORMAT_VERSION) {
    throw new ConfigError("the store was written by a newer release: its manifest has another format", {
      formatVersion: version,
    });
  }
  const result = manifestSchema.safeParse(json);
  if (!result.success)
    throw new DamagedRepositoryError("manifest has unexpected content", { cause: result.error });
  return result.data;
}

export function formatManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest, undefined, 1)}\n`);
}
