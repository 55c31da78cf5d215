/**
 * The JSON of `/-/api/v1`. `nearside status --json` has the same fields for a repository, and more. OpenAPI's document is made of these
 * schemas, and tests check answers against it.
 */
import * as z from "zod/mini";

const time = z.iso.datetime();
const count = z.int().check(z.nonnegative());

const lfsSchema = z.object({
  pointers: count,
  pointerBytes: count,
  stored: count,
  storedBytes: count,
  pending: count,
  missing: count,
  postponed: count,
});

const recentSyncSchema = z.union([
  z.object({
    kind: z.literal("published"),
    at: time,
    durationMs: count,
    changedRefs: count,
    objects: count,
    receivedBytes: count,
  }),
  z.object({ kind: z.literal("failed"), at: time, code: z.string(), tries: count }),
]);

const repositorySchema = z.object({
  workspace: z.string(),
  slug: z.string(),
  uuid: z.guid(),
  projectKey: z.optional(z.string()),
  isPrivate: z.boolean(),
  state: z.enum(["NOT_MIRRORED", "INITIALIZING", "AVAILABLE", "ERROR_INITIALIZING", "ERROR_AVAILABLE"]),
  cloneUrl: z.string(),
  firstSyncAt: z.optional(time),
  lastSyncAt: z.optional(time),
  failedSyncCount: count,
  lastError: z.optional(z.object({ at: time, code: z.string(), text: z.string() })),
  published: z.optional(
    z.object({
      generation: count,
      defaultBranch: z.optional(z.string()),
      refCount: count,
      packBytes: count,
      publishedAt: time,
      verifiedAt: time,
    }),
  ),
  lfs: z.optional(lfsSchema),
  /** Of one repository, not in lists: those that changed something or failed, oldest first. */
  recentSyncs: z.optional(z.array(recentSyncSchema)),
});

const repositoryListSchema = z.object({
  repositories: z.array(repositorySchema),
  totalCount: count,
  /** `start` of the next page. */
  nextStart: z.optional(count),
  notes: z.array(z.string()),
});

const errorSchema = z.object({ code: z.string(), text: z.string() });

export type ApiRepository = z.infer<typeof repositorySchema>;
export type ApiRepositoryList = z.infer<typeof repositoryListSchema>;

/** By the name in an answer's `schema`. */
export const API_SCHEMAS = {
  repository: repositorySchema,
  "repository-list": repositoryListSchema,
  error: errorSchema,
} as const;

export type ApiSchemaName = keyof typeof API_SCHEMAS;
