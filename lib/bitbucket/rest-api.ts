/** Bitbucket Cloud's REST API 2.0: the few calls the mirror makes. Source: developer.atlassian.com/cloud/bitbucket/rest. */
import { z } from "zod";
import { LimitExceededError, NotFoundError, UpstreamError } from "../errors.ts";
import { DEFAULT_REST_API_LIMITS, getJson, type RestApiOptions } from "./rest-request.ts";

export interface BitbucketRepository {
  /** Lower case, without Bitbucket's braces. Stays when the repository is renamed or moved. */
  readonly uuid: string;
  readonly workspace: string;
  readonly slug: string;
  /** `workspace/slug`. */
  readonly fullName: string;
  readonly isPrivate: boolean;
  /** Absent while the repository is empty. */
  readonly mainBranch: string | undefined;
  /** Over HTTPS, without the user name that Bitbucket puts in. */
  readonly cloneUrl: string;
  readonly projectKey: string | undefined;
  /** ISO 8601. Moves on most pushes, but nothing says on all: no proof that the refs are unchanged. */
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
   * @throws {NotFoundError} No such repository, or the credential may not see it: Bitbucket does not tell which.
   */
  repository(workspace: string, slug: string): Promise<BitbucketRepository>;
  /**
   * Those that the credential may read, a page at a time, the oldest first; with `updatedAfter` those updated last first.
   * @throws {NotFoundError} No such workspace.
   */
  repositories(workspace: string, filter?: RepositoryFilter): AsyncIterable<BitbucketRepository>;
}

interface RepositoryFilter {
  readonly projectKey?: string;
  /** As in `updatedOn`. */
  readonly updatedAfter?: string;
}

const repositorySchema = z
  .object({
    uuid: z.string().regex(/^\{[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}$/),
    slug: z.string().min(1),
    full_name: z.string().regex(/^[^/]+\/[^/]+$/),
    is_private: z.boolean(),
    mainbranch: z.object({ name: z.string() }).nullish(),
    project: z.object({ key: z.string() }).nullish(),
    updated_on: z.string(),
    size: z.number().nonnegative().nullish(),
    links: z.object({ clone: z.array(z.object({ name: z.string(), href: z.string() })) }),
  })
  .transform((json, context): BitbucketRepository => {
    const cloneUrl = webUrl(json.links.clone.find(({ name }) => name === "https")?.href);
    if (cloneUrl === undefined) {
      context.addIssue({ code: "custom", message: "no usable https clone link", path: ["links", "clone"] });
      return z.NEVER;
    }
    return {
      uuid: json.uuid.slice(1, -1).toLowerCase(),
      workspace: json.full_name.slice(0, json.full_name.indexOf("/")),
      slug: json.slug,
      fullName: json.full_name,
      isPrivate: json.is_private,
      mainBranch: json.mainbranch?.name,
      cloneUrl,
      projectKey: json.project?.key,
      updatedOn: json.updated_on,
      sizeBytes: json.size ?? undefined,
    };
  });

const pageSchema = z.object({ values: z.array(repositorySchema), next: z.url().optional() });

const REPOSITORY_FIELDS = [
  "uuid",
  "slug",
  "full_name",
  "is_private",
  "mainbranch.name",
  "project.key",
  "updated_on",
  "size",
  "links.clone",
];
const PAGE_LENGTH = 100;

export function bitbucketRestApi(options: RestApiOptions): BitbucketRestApi {
  const apiUrl = options.apiUrl.replace(/\/+$/, "");
  const limits = options.limits ?? DEFAULT_REST_API_LIMITS;

  async function* repositories(
    workspace: string,
    filter: RepositoryFilter = {},
  ): AsyncGenerator<BitbucketRepository, void> {
    let url: URL | undefined = repositoriesUrl(apiUrl, workspace, filter);
    for (let pageCount = 1; url !== undefined; pageCount++) {
      if (pageCount > limits.maxPages) {
        throw new LimitExceededError(`a list has more than ${limits.maxPages} pages`, { workspace });
      }
      const page: z.infer<typeof pageSchema> = await getJson(url, pageSchema, options);
      yield* page.values;
      url = page.next === undefined ? undefined : nextPageUrl(page.next, apiUrl);
    }
  }

  return {
    async repository(workspace, slug) {
      const url = new URL(`${apiUrl}/repositories/${pathSegment(workspace)}/${pathSegment(slug)}`);
      url.searchParams.set("fields", REPOSITORY_FIELDS.join(","));
      return getJson(url, repositorySchema, options);
    },
    repositories,
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

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** `.` and `..` would climb in the path. No workspace or repository is called so. */
export function pathSegment(name: string): string {
  if (name === "" || name === "." || name === "..") throw new NotFoundError("not a name", { name });
  return encodeURIComponent(name);
}

/** The credential goes with it, so it may not lead elsewhere. */
export function nextPageUrl(next: string, apiUrl: string): URL {
  const url = new URL(next);
  if (url.origin !== new URL(apiUrl).origin) {
    throw new UpstreamError("Bitbucket's next page is on another host", { retryable: false, host: url.host });
  }
  return withoutUserinfo(url);
}

function webUrl(href: string | undefined): string | undefined {
  if (href === undefined || !URL.canParse(href)) return undefined;
  const url = new URL(href);
  return url.protocol === "https:" || url.protocol === "http:" ? withoutUserinfo(url).href : undefined;
}

/** `fetch` refuses addresses that have userinfo. */
function withoutUserinfo(url: URL): URL {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  return bare;
}
