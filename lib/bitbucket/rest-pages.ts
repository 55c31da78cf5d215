/** Lists over REST: page by page, each entry checked by itself, so that an odd one hides no other. */
import * as z from "zod";
import { LimitExceededError, UpstreamError } from "../errors.ts";
import { printableLine } from "../printable-line.ts";
import { DEFAULT_REST_API_LIMITS, getJson, problemOf, type RestApiOptions } from "./rest-request.ts";

/** An entry of a list that cannot be used. */
export interface SkippedEntry {
  /** Lower case, without braces; absent where the entry has no valid one. */
  readonly uuid?: string;
  /** What it calls itself; for messages. */
  readonly name: string;
  readonly problem: string;
}

export type OnSkipped = (skipped: SkippedEntry) => void;

const pageSchema = z.object({ values: z.array(z.unknown()), next: z.string().nullish() });

const identitySchema = z
  .object({ uuid: z.unknown(), full_name: z.unknown(), slug: z.unknown(), url: z.unknown() })
  .partial();

const MAX_NAME_LENGTH = 200;

/**
 * A page is read when its first entry is pulled.
 * @throws As `getJson`. @throws {UpstreamError} `next` is on another host, or leads back. @throws {LimitExceededError} Too many pages.
 */
export async function* readPages<T>(
  first: URL,
  schema: z.ZodType<T>,
  onSkipped: OnSkipped,
  options: RestApiOptions,
): AsyncGenerator<T, void> {
  const { maxPages } = options.limits ?? DEFAULT_REST_API_LIMITS;
  const seen = new Set<string>();
  const path = first.pathname;
  for (let url: URL | undefined = first; url !== undefined; ) {
    if (seen.has(url.href))
      throw new UpstreamError("Bitbucket's list leads back to a page before", { retryable: true, path });
    if (seen.size === maxPages)
      throw new LimitExceededError(`a list has more than ${maxPages} pages`, { path });
    seen.add(url.href);
    const page: z.infer<typeof pageSchema> = await getJson(url, pageSchema, options);
    for (const value of page.values) {
      const entry = schema.safeParse(value);
      if (entry.success) yield entry.data;
      else onSkipped({ ...identityOf(value), problem: problemOf(entry.error) });
    }
    url = nextPageUrl(page.next, options.apiUrl);
  }
}

/** The credential is sent to it, so it may not be on another host. */
function nextPageUrl(next: string | null | undefined, apiUrl: string): URL | undefined {
  if (next === null || next === undefined || next === "") return undefined;
  const url = URL.parse(next);
  if (url?.origin !== new URL(apiUrl).origin) {
    throw new UpstreamError("Bitbucket's next page is on another host", {
      retryable: false,
      host: url?.host,
    });
  }
  // `fetch` refuses addresses that have userinfo.
  url.username = "";
  url.password = "";
  return url;
}

function identityOf(value: unknown): Pick<SkippedEntry, "uuid" | "name"> {
  const { uuid, full_name, slug, url } = identitySchema.safeParse(value).data ?? {};
  const bare = bareUuid(uuid);
  const name = [full_name, slug, url, uuid].find((one) => typeof one === "string");
  return {
    ...(bare !== undefined && { uuid: bare }),
    name: printableLine(name ?? "an entry without a name").slice(0, MAX_NAME_LENGTH),
  };
}

const BRACED_UUID = /^\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}$/i;

/** @returns Lower case, without Bitbucket's braces. */
export function bareUuid(value: unknown): string | undefined {
  return typeof value === "string" && BRACED_UUID.test(value) ? value.slice(1, -1).toLowerCase() : undefined;
}
