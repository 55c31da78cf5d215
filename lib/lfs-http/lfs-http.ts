/**
 * The API of git-lfs: downloads are answered here, everything else is the primary's. git-lfs follows a redirect of any request, and
 * logs in at the other host with its credential for that host.
 * Source: git-lfs docs/api/README.md; lfsapi/auth.go, "doWithCreds".
 */
import { askLfsBatch, type LfsObject } from "../bitbucket/lfs-batch.ts";
import { lfsUrlOf, readOnlyText, repositoryUrlOf } from "../bitbucket/repository-url.ts";
import { notFoundResponse, textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { answerDownload, type DownloadOptions } from "./answer-download.ts";
import { readLfsBatch } from "./batch-request.ts";
import { PrimaryQuestions } from "./primary-questions.ts";

export interface LfsHttpOptions extends DownloadOptions {
  readonly fetch: typeof fetch;
  readonly agent: string;
  readonly push: {
    /** Only `refuse` makes a difference: uploads are redirected wherever pushes go. */
    readonly kind: "relay" | "redirect" | "refuse";
    /** Where the primary serves git, without a slash at its end. */
    readonly gitUrl: string;
  };
}

/** A request below a repository's `info/lfs/`, whose caller may read the repository. */
export interface LfsRequest {
  readonly request: HttpRequest;
  /** `undefined` where nothing of it is served: then all is as the primary says. */
  readonly uuid: RepositoryUuid | undefined;
  /** Of the repository, below the primary's git address; `undefined` if unknown. */
  readonly primaryPath: string | undefined;
}

const LFS_PATH = /^((?:\/+[^/]+){2,3}?)\/+info\/lfs\/(.+)$/;
const BATCH = "objects/batch";

export function lfsHttp(options: LfsHttpOptions): (asked: LfsRequest) => Promise<HttpResponse> {
  const { fetch, agent, push } = options;
  const questions = new PrimaryQuestions(options.nowMs);
  return async ({ request, uuid, primaryPath }) => {
    const [, , lfsPath] = LFS_PATH.exec(request.path) ?? [];
    if (lfsPath === undefined || primaryPath === undefined) return notFoundResponse();
    const repositoryUrl = repositoryUrlOf(push.gitUrl, primaryPath);
    if (lfsPath !== BATCH) return atPrimary(request, repositoryUrl, push.kind);
    const batch = await readLfsBatch(request);
    if ("status" in batch) return batch;
    if (batch.operation === "upload") return atPrimary(request, repositoryUrl, push.kind);
    const { authorization } = request.headers;
    const askPrimary = (objects: readonly LfsObject[], signal: AbortSignal) =>
      questions.ask({ request, repositoryUrl, objects }, signal, () =>
        askLfsBatch(objects, { fetch, agent, repositoryUrl, authorization }),
      );
    return answerDownload({ request, batch, uuid, primaryPath, askPrimary }, options);
  };
}

/** A list of locks is read. Whatever else comes here is a write, or a part of one. */
function atPrimary(
  request: HttpRequest,
  repositoryUrl: string,
  push: LfsHttpOptions["push"]["kind"],
): HttpResponse {
  if (push === "refuse" && request.method !== "GET") return textResponse(403, readOnlyText(repositoryUrl));
  const location = lfsUrlOf(repositoryUrl, request);
  if (location === undefined) return notFoundResponse();
  return textResponse(307, "Bitbucket does this part of git-lfs", { location });
}
