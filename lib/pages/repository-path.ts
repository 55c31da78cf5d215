/** Which repository's page a request is for. */
import { textResponse } from "../http/error-response.ts";
import type { HttpRequest } from "../http/message.ts";
import { isNameSegment } from "../repo/names.ts";
import type { NamedRepository } from "./ports.ts";

/** Paths that are never git's. */
export const PAGE_PREFIX = "/-/pages";

/** @returns `undefined` for a client that does not accept HTML at git's own address. */
export function repositoryPageOf({ path, headers }: HttpRequest): NamedRepository | undefined {
  const ofPages = namedBy(/^\/-\/pages\/([^/]+)\/([^/]+)$/.exec(path));
  if (ofPages !== undefined) return ofPages;
  if (!/\btext\/html\b/i.test(headers["accept"] ?? "")) return undefined;
  return namedBy(/^\/([^/]+)\/([^/]+?)(?:\.git)?\/?$/.exec(path));
}

/** For a process that serves no pages. */
export function redirectToPage({ basePath = "" }: HttpRequest, { workspace, slug }: NamedRepository) {
  return textResponse(303, "the page of this repository has another address", {
    location: `${basePath}${PAGE_PREFIX}/${workspace}/${slug}`,
  });
}

/** @param match - Its groups are the workspace and the slug. */
export function namedBy(match: RegExpExecArray | null): NamedRepository | undefined {
  const [, workspace = "", slug = ""] = match ?? [];
  // No workspace is called so; it is the first part of the mirror's own addresses.
  if (workspace === "-" || !isNameSegment(workspace) || !isNameSegment(slug)) return undefined;
  return { workspace, slug };
}
