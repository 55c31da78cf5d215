/** Answers `nearside clone`, which installs stored packs and their indexes as they are; behind the same access as git. */
import { repositoryUrlOf } from "../bitbucket/repository-url.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { serverUrlOf } from "../http/server-url.ts";
import { makeClonePlan } from "../repo/make-clone-plan.ts";
import type { BlobUrls } from "../store/blob-urls.ts";
import type { AllowedAccess } from "./access-decision.ts";
import { NO_CACHE_HEADERS } from "./route.ts";
import type { ServedSource } from "./served-source.ts";

/** @returns A `ClonePlan` as JSON, or 404: then the repository is to be cloned by git. */
export type AnswerClonePlan = (
  source: ServedSource,
  request: HttpRequest,
  decision: AllowedAccess,
) => Promise<HttpResponse>;

export interface ClonePlanOptions {
  readonly urls: BlobUrls;
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
}

export function answerClonePlan({ urls, gitUrl }: ClonePlanOptions): AnswerClonePlan {
  return async ({ uuid, manifest }, request, { primaryPath, plainPath = primaryPath }) => {
    const planned = uuid !== undefined && manifest !== undefined ? { uuid, manifest } : undefined;
    const plan = planned && (await makeClonePlan(planned, urls, serverUrlOf(request)));
    if (plan === undefined)
      return textResponse(404, "there is no plan for this repository now: use git clone", NO_CACHE_HEADERS);
    const primaryUrl = plainPath === undefined ? undefined : repositoryUrlOf(gitUrl, plainPath);
    return textResponse(200, JSON.stringify({ ...plan, primaryUrl }), {
      ...NO_CACHE_HEADERS,
      "content-type": "application/json",
    });
  };
}
