/**
 * Names lead to repositories: entries in `names/<workspace>/<slug>.json` and `projects/<key>/<slug>.json`. They are an index of
 * the repositories' records, which win; name-index.ts changes it.
 */
import * as z from "zod/mini";
import type { WholeBlobs } from "../store/blob-store.ts";
import { isRepositoryUuid, nameKey, projectNameKey, type RepositoryUuid } from "./layout.ts";
import { type DocumentForm, StoredDocument } from "./stored-document.ts";

/** How a caller may name a repository. */
export type RepositoryReference =
  | { readonly kind: "name"; readonly workspace: string; readonly slug: string }
  | { readonly kind: "uuid"; readonly workspace: string; readonly uuid: RepositoryUuid }
  /** As Smart Mirroring did, in the workspace that has the project. */
  | { readonly kind: "project"; readonly projectKey: string; readonly slug: string };

/** How git finds the repository at the primary; `lib/sync/found-by.ts` has the transitions. */
export const foundBySchema = z.enum(["uuid", "name", "unknown"]);

export type FoundBy = z.infer<typeof foundBySchema>;

const entryFields = {
  uuid: z.string().check(z.refine(isRepositoryUuid)),
  /** When the primary said that the repository has this name. A claim of another one that is older does not count. */
  seenAt: z.iso.datetime(),
  /** Everyone may read it at the primary, as far as the last sync knows. */
  isPublic: z.boolean(),
  foundBy: foundBySchema,
};

const nameSchema = z.object({
  ...entryFields,
  /** The repository has another name by now; this one lasts until another repository takes it. */
  isFormer: z.boolean(),
  /** Nothing is mirrored under it yet, but it is going to be: the name is reserved, and leads nowhere. */
  isReserved: z.optional(z.literal(true)),
});

const projectNameSchema = z.object({
  ...entryFields,
  workspace: z.string().check(z.refine(isNameSegment)),
  slug: z.string().check(z.refine(isNameSegment)),
});

export type NameEntry = z.infer<typeof nameSchema>;
export type ProjectNameEntry = z.infer<typeof projectNameSchema>;

const NAME_FORM: DocumentForm<NameEntry> = {
  schema: nameSchema,
  whenDamaged: "throw",
  checksum: "needed",
  subject: ({ uuid }) => uuid,
};
const PROJECT_NAME_FORM: DocumentForm<ProjectNameEntry> = {
  schema: projectNameSchema,
  whenDamaged: "throw",
  checksum: "needed",
  subject: ({ uuid }) => uuid,
};

/** What Bitbucket allows in a workspace id or a slug, so surely one path segment. */
export const NAME_SEGMENT_PATTERN = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}$/;

export function isNameSegment(text: string): boolean {
  return NAME_SEGMENT_PATTERN.test(text);
}

/** @throws {RangeError} A name that is not one path segment. */
export function nameDocument(store: WholeBlobs, workspace: string, slug: string): StoredDocument<NameEntry> {
  assertSegments(workspace, slug);
  return new StoredDocument(store, nameKey(workspace, slug), NAME_FORM);
}

/** @throws {RangeError} A key or name that is not one path segment. */
export function projectNameDocument(
  store: WholeBlobs,
  projectKey: string,
  slug: string,
): StoredDocument<ProjectNameEntry> {
  assertSegments(projectKey, slug);
  return new StoredDocument(store, projectNameKey(projectKey, slug), PROJECT_NAME_FORM);
}

/** One request. @returns `undefined` if there is no such name. @throws {StoredDocumentError} */
export async function readName(
  store: WholeBlobs,
  workspace: string,
  slug: string,
): Promise<NameEntry | undefined> {
  if (!isNameSegment(workspace) || !isNameSegment(slug)) return undefined;
  return (await nameDocument(store, workspace, slug).read()).value;
}

/** As `readName`. */
export async function readProjectName(
  store: WholeBlobs,
  projectKey: string,
  slug: string,
): Promise<ProjectNameEntry | undefined> {
  if (!isNameSegment(projectKey) || !isNameSegment(slug)) return undefined;
  return (await projectNameDocument(store, projectKey, slug).read()).value;
}

function assertSegments(...segments: readonly string[]): void {
  if (!segments.every(isNameSegment)) throw new RangeError("not a name of a repository");
}
