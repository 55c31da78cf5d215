/** Names point to repositories: `names/<workspace>/<slug>.json` holds the uuid. */
import { z } from "zod";
import { CorruptPackError, NotFoundError } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { nameKey, parseRepositoryUuid, type RepositoryUuid } from "./layout.ts";

const nameSchema = z.strictObject({ uuid: z.string() });

/** What Bitbucket allows in a workspace id or a slug, so surely one path segment. */
const SEGMENT_PATTERN = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}$/;

export function isNameSegment(text: string): boolean {
  return SEGMENT_PATTERN.test(text);
}

/**
 * @returns `undefined` if there is no such name.
 * @throws {CorruptPackError} The entry is not one that this version understands.
 */
export async function readName(
  store: BlobStore,
  workspace: string,
  slug: string,
): Promise<RepositoryUuid | undefined> {
  if (!isNameSegment(workspace) || !isNameSegment(slug)) return undefined;
  const key = nameKey(workspace, slug);
  let bytes: Uint8Array;
  try {
    ({ bytes } = await store.read(key));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
  try {
    return parseRepositoryUuid(nameSchema.parse(JSON.parse(new TextDecoder().decode(bytes))).uuid);
  } catch (error) {
    throw new CorruptPackError("name entry has unexpected content", { key, cause: error });
  }
}

/** @throws {RangeError} A name that is not one path segment. */
export async function writeName(
  store: BlobStore,
  workspace: string,
  slug: string,
  uuid: RepositoryUuid,
): Promise<void> {
  if (!isNameSegment(workspace) || !isNameSegment(slug)) throw new RangeError("not a name of a repository");
  const bytes = new TextEncoder().encode(`${JSON.stringify({ uuid })}\n`);
  await store.write(nameKey(workspace, slug), bytes);
}
