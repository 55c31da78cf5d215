/**
 * Redirects what only the primary does: pushes and git-lfs. git follows a redirect of `info/refs` and then pushes there, with
 * its credential for that host.
 */
import { notFoundResponse, textResponse } from "../http/error-response.ts";
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
  { kind, gitUrl }: PushPolicy,
  request: HttpRequest,
  asked: RepositoryReference,
  primaryPath: string | undefined,
): HttpResponse {
  if (primaryPath === undefined) {
    return textResponse(403, "this mirror is read-only, push to Bitbucket itself", NO_CACHE_HEADERS);
  }
  const repositoryUrl = urlOf(gitUrl, primaryPath);
  // A caller with a project key has logged in here, and git does not log in again after a redirect.
  const mayRedirect = kind === "redirect" && asked.kind !== "project";
  // git does not follow a redirect of the push itself.
  if (!mayRedirect || !request.path.endsWith("/info/refs")) {
    const command = `git remote set-url --push origin ${repositoryUrl}`;
    return textResponse(403, `this mirror is read-only; to push to Bitbucket: ${command}`, NO_CACHE_HEADERS);
  }
  const location = `${repositoryUrl}/info/refs?service=git-receive-pack`;
  return textResponse(307, `pushes go to ${repositoryUrl}`, { ...NO_CACHE_HEADERS, location });
}

const LFS_PATH = /\/info\/lfs\/([A-Za-z0-9/_-]+)$/;

/**
 * git-lfs follows a redirect of any request, and logs in at the other host with its credential for that host.
 * Source: git-lfs, lfsapi/auth.go, "doWithCreds".
 */
export function redirectLfs(
  gitUrl: string,
  { path, query }: HttpRequest,
  primaryPath: string | undefined,
): HttpResponse {
  const [, lfsPath] = LFS_PATH.exec(path) ?? [];
  if (lfsPath === undefined || primaryPath === undefined) return notFoundResponse(NO_CACHE_HEADERS);
  const parameters = query.size === 0 ? "" : `?${query}`;
  const location = `${urlOf(gitUrl, primaryPath)}/info/lfs/${lfsPath}${parameters}`;
  return textResponse(307, "git-lfs files are at Bitbucket", { ...NO_CACHE_HEADERS, location });
}

function urlOf(gitUrl: string, primaryPath: string): string {
  return `${gitUrl}/${primaryPath.split("/").map(encodeURIComponent).join("/")}.git`;
}
