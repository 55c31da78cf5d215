/** Redirects pushes to the primary. git follows a redirect of `info/refs` and then pushes there, with its credential for that host. */
import { readOnlyText, repositoryUrlOf } from "../bitbucket/repository-url.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { NO_CACHE_HEADERS } from "./route.ts";

export interface PushPolicy {
  readonly kind: "redirect" | "refuse";
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
}

/** @param primaryPath - Of the repository; `undefined` if unknown. */
export function answerPush(
  { kind, gitUrl }: { readonly kind: string; readonly gitUrl: string },
  request: HttpRequest,
  asked: RepositoryReference,
  primaryPath: string | undefined,
): HttpResponse {
  const repositoryUrl = primaryPath === undefined ? undefined : repositoryUrlOf(gitUrl, primaryPath);
  // A caller with a project key has logged in here, and git does not log in again after a redirect.
  const mayRedirect = kind === "redirect" && asked.kind !== "project";
  // git does not follow a redirect of the push itself.
  if (repositoryUrl === undefined || !mayRedirect || !request.path.endsWith("/info/refs"))
    return textResponse(403, readOnlyText(repositoryUrl), NO_CACHE_HEADERS);
  const location = `${repositoryUrl}/info/refs?service=git-receive-pack`;
  return textResponse(307, `pushes go to ${repositoryUrl}`, { ...NO_CACHE_HEADERS, location });
}
