/** Bitbucket Cloud's REST API 2.0: the few calls the mirror makes. Source: developer.atlassian.com/cloud/bitbucket/rest. */
import * as z from "zod";
import { NotFoundError } from "../errors.ts";
import { bareUuid, type OnSkipped, readPages } from "./rest-pages.ts";
import { getJson, type RestApiOptions } from "./rest-request.ts";

export interface BitbucketRepository {
  /** Lower case, without Bitbucket's braces. Stays when the repository is renamed or moved. */
  readonly uuid: string;
  readonly workspace: string;
  /** As `uuid`; `undefined` if Bitbucket gives no valid one. */
  readonly workspaceUuid: string | undefined;
  readonly slug: string;
  /** `workspace/slug`. */
  readonly fullName: string;
  readonly isPrivate: boolean;
  readonly projectKey: string | undefined;
  /**
   * ISO 8601. Moves on most pushes, but nothing says on all: no proof that the refs are unchanged. 1970 where Bitbucket gives no
   * valid time.
   */
  readonly updatedOn: string;
  /** Bitbucket's own estimate. */
  readonly sizeBytes: number | undefined;
}

/**
 * A request that breaks is repeated once, at once. Later retries are the caller's, who knows how long it may wait.
 * All throw {@link UpstreamError} for an unusable answer, and {@link LimitExceededError} for one beyond the limits.
 */
export interface BitbucketRestApi {
  /**
   * @param workspace, slug - A name, or a uuid in braces.
   * @throws {NotFoundError} No such repository, or hidden from the credential: Bitbucket answers both alike.
   * @throws {UnexpectedAnswerError} It lacks what the mirror needs.
   */
  repository(workspace: string, slug: string): Promise<BitbucketRepository>;
  /**
   * Those that the credential may read, a page at a time, the oldest first; with `updatedAfter` those updated last first. Without
   * entries that lack what the mirror needs.
   * @throws {NotFoundError} No such workspace.
   */
  repositories(workspace: string, filter?: RepositoryFilter): AsyncIterable<BitbucketRepository>;
}

interface RepositoryFilter {
  readonly projectKey?: string;
  /** As in `updatedOn`. */
  readonly updatedAfter?: string;
  /** Called for each entry that is left out. */
  readonly onSkipped?: OnSkipped;
}

const NO_TIME = "1970-01-01T00:00:00Z";

const workspaceSchema = z.object({ uuid: z.unknown() });

/** Demands only what is used. */
const repositorySchema = z
  .object({
    uuid: z.unknown().transform(bareUuid).pipe(z.string()),
    slug: z.string().min(1),
    full_name: z.string().regex(/^[^/]+\/[^/]+$/),
    is_private: z.boolean(),
    workspace: z.unknown().optional(),
    project: z.object({ key: z.string() }).nullish(),
    updated_on: z.unknown().optional(),
    size: z.unknown().optional(),
  })
  .transform(
    ({
      uuid,
      slug,
      full_name: fullName,
      is_private: isPrivate,
      workspace,
      project,
      updated_on,
      size,
    }): BitbucketRepository => ({
      ...{ uuid, slug, fullName, isPrivate },
      workspaceUuid: bareUuid(workspaceSchema.safeParse(workspace).data?.uuid),
      workspace: fullName.slice(0, fullName.indexOf("/")),
      projectKey: project?.key,
      updatedOn:
        typeof updated_on === "string" && !Number.isNaN(Date.parse(updated_on)) ? updated_on : NO_TIME,
      sizeBytes: typeof size === "number" && size >= 0 ? size : undefined,
    }),
  );

const REPOSITORY_FIELDS = [
  "uuid",
  "slug",
  "full_name",
  "is_private",
  "workspace.uuid",
  "project.key",
  "updated_on",
  "size",
];
const PAGE_LENGTH = 100;

export function bitbucketRestApi(options: RestApiOptions): BitbucketRestApi {
  const apiUrl = options.apiUrl.replace(/\/+$/, "");
  return {
    async repository(workspace, slug) {
      const url = new URL(`${apiUrl}/repositories/${pathSegment(workspace)}/${pathSegment(slug)}`);
      url.searchParams.set("fields", REPOSITORY_FIELDS.join(","));
      return getJson(url, repositorySchema, options);
    },
    repositories: (workspace, { onSkipped = () => undefined, ...filter } = {}) =>
      readPages(repositoriesUrl(apiUrl, workspace, filter), repositorySchema, onSkipped, options),
  };
}

function repositoriesUrl(
  apiUrl: string,
  workspace: string,
  { projectKey, updatedAfter }: RepositoryFilter,
): URL {
  const url = new URL(`${apiUrl}/repositories/${pathSegment(workspace)}`);
  url.searchParams.set("pagelen", String(PAGE_LENGTH));
  // Everything: in an order that a push does not change, else a repository could slip past between two pages.
  url.searchParams.set("sort", updatedAfter === undefined ? "created_on" : "-updated_on");
  url.searchParams.set("fields", ["next", ...REPOSITORY_FIELDS.map((field) => `values.${field}`)].join(","));
  const conditions = [
    ...(projectKey === undefined ? [] : [`project.key=${quoted(projectKey)}`]),
    ...(updatedAfter === undefined ? [] : [`updated_on>${quoted(updatedAfter)}`]),
  ];
  if (conditions.length > 0) url.searchParams.set("q", conditions.join(" AND "));
  return url;
}

/** A short question that Bitbucket answers to accounts that can be mirrored with; for tokens of one repository it is not verified. */
export function credentialQuestionUrl(apiUrl: string, workspace: string): string {
  const path = `${apiUrl.replace(/\/+$/, "")}/repositories/${pathSegment(workspace)}`;
  return `${path}?pagelen=10&fields=values.uuid`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** `.` and `..` would climb in the path. No workspace or repository is called so. */
export function pathSegment(name: string): string {
  if (name === "" || name === "." || name === "..") throw new NotFoundError("not a name", { name });
  return encodeURIComponent(name);
}
