/** A workspace of any size, as Bitbucket's REST API lists it: in memory, with a clock of its own, and its requests counted. */
import { bitbucketRestApi } from "../../lib/bitbucket/rest-api.ts";
import { stableUuid } from "./fake-bitbucket/catalogue.ts";
import { pageOf, parseQuery, sorted } from "./fake-bitbucket/query.ts";
import type { Json } from "./fake-bitbucket/shapes.ts";

export interface ListedRepository {
  readonly uuid: string;
  slug: string;
  projectKey: string;
  isPrivate: boolean;
  updatedOn: Date;
}

const API_URL = "https://api.bitbucket.example/2.0";

export class ListedWorkspace {
  nowMs = Date.parse("2026-11-01T00:00:00Z");
  readonly repositories: ListedRepository[] = [];
  /** When each request came, and whether it was answered. */
  readonly requests: { readonly atMs: number; readonly status: number }[] = [];
  /** Until then each request is answered 429. */
  limitedUntilMs = 0;
  retryAfterSeconds: number | undefined = 60;
  /** Changes the entries of each answer. */
  edit: (entries: object[]) => unknown[] = (entries) => entries;

  now = (): Date => new Date(this.nowMs);

  add(slug: string, projectKey = "MAIN"): ListedRepository {
    const uuid = stableUuid("repository", `acme/${slug}`);
    const repository = { uuid, slug, projectKey, isPrivate: false, updatedOn: this.now() };
    this.repositories.push(repository);
    return repository;
  }

  touch(repository: ListedRepository): void {
    repository.updatedOn = this.now();
  }

  apiOf = async (_workspace: unknown, limit: (fetch: typeof globalThis.fetch) => typeof globalThis.fetch) =>
    bitbucketRestApi({ fetch: limit(this.#fetch), apiUrl: API_URL, authorization: undefined });

  /** The most requests within any hour. */
  worstHour(): number {
    const times = this.requests.map(({ atMs }) => atMs);
    return Math.max(
      ...times.map((start) => times.filter((at) => at >= start && at < start + 3_600_000).length),
    );
  }

  #fetch = async (input: string | URL | Request): Promise<Response> => {
    const url = new URL(String(input));
    const isLimited = this.nowMs < this.limitedUntilMs;
    this.requests.push({ atMs: this.nowMs, status: isLimited ? 429 : 200 });
    if (isLimited) {
      const headers: Record<string, string> =
        this.retryAfterSeconds === undefined ? {} : { "retry-after": String(this.retryAfterSeconds) };
      return new Response("Rate limit for this resource has been exceeded", { status: 429, headers });
    }
    const [, slug] = /\/repositories\/acme\/([^/]+)$/.exec(url.pathname) ?? [];
    if (slug !== undefined) {
      const index = this.repositories.findIndex((one) => one.slug === slug);
      const found = this.repositories[index];
      return found ? Response.json(shapeOf(found, index)) : new Response("{}", { status: 404 });
    }
    const query = url.searchParams.get("q");
    const after = /updated_on>"([^"]*)"/.exec(query ?? "")?.[1];
    const candidates = this.repositories.flatMap((one, index) =>
      after === undefined || one.updatedOn.getTime() > Date.parse(after) ? [shapeOf(one, index)] : [],
    );
    const matching = query === null ? candidates : candidates.filter(parseQuery(query));
    return Response.json(pageOf(this.edit(sorted(matching, url.searchParams.get("sort"))) as Json[], url));
  };
}

function shapeOf({ uuid, slug, isPrivate, projectKey, updatedOn }: ListedRepository, index: number) {
  return {
    uuid: `{${uuid}}`,
    slug,
    full_name: `acme/${slug}`,
    is_private: isPrivate,
    workspace: { slug: "acme", uuid: `{${stableUuid("workspace", "acme")}}` },
    project: { key: projectKey },
    created_on: new Date(index * 1000).toISOString(),
    updated_on: updatedOn.toISOString(),
    links: { clone: [{ name: "https", href: `https://bitbucket.example/acme/${slug}.git` }] },
  };
}
