/** The pages, with git's decision about access and Bitbucket's lists. */
import { administeredWorkspaces } from "../../lib/bitbucket/administered-workspaces.ts";
import { bitbucketRestApi } from "../../lib/bitbucket/rest-api.ts";
import { DEFAULT_REST_API_LIMITS } from "../../lib/bitbucket/rest-request.ts";
import { AGENT } from "../../lib/config.ts";
import type { DecideAccess } from "../../lib/git-http/decide-access.ts";
import type { PagesOptions } from "../../lib/pages/page-context.ts";
import { type AnswerPage, pagesHttp } from "../../lib/pages/pages-http.ts";
import type { Administration } from "../../lib/pages/ports.ts";
import { retryBudget } from "./bitbucket-access.ts";

export type PageAdministration = Omit<Administration, "administered">;

export interface MirrorPagesOptions
  extends Omit<PagesOptions, "mayRead" | "listReadable" | "version" | "administration"> {
  /** By default there are no pages for administrators. */
  readonly administration?: PageAdministration;
  readonly access: DecideAccess;
  readonly apiUrl: string;
}

/** People wait for it. 200 pages are 20,000 repositories. */
const LIST_LIMITS = { ...DEFAULT_REST_API_LIMITS, timeoutMs: 10_000, maxPages: 200 };

export function mirrorPages({ access, apiUrl, administration, ...options }: MirrorPagesOptions): AnswerPage {
  return pagesHttp({
    ...options,
    version: AGENT.slice(AGENT.indexOf("/") + 1),
    async mayRead(request, authorization, { workspace, slug }) {
      const headers = authorization === undefined ? {} : { authorization };
      const decision = await access({
        request: { ...request, method: "GET", headers },
        service: "info-refs",
        repository: { kind: "name", workspace, slug },
      });
      if (decision.kind === "allowed") return { kind: "allowed", uuid: decision.uuid };
      const { status, text } = decision;
      return { kind: status === 404 ? "not-found" : status === 401 ? "unauthorized" : "busy", text };
    },
    listReadable: (authorization, workspace) =>
      bitbucketRestApi({ apiUrl, authorization, fetch, retryBudget, limits: LIST_LIMITS }).repositories(
        workspace,
      ),
    ...(administration && {
      administration: {
        ...administration,
        administered: (authorization: string) =>
          administeredWorkspaces({ apiUrl, authorization, fetch, retryBudget, limits: LIST_LIMITS }),
      },
    }),
  });
}
