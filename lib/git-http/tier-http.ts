/** What a server of the stream tier answers: fetches with a token in their path, and nothing else. */
import type { AddressRange } from "../address-ranges.ts";
import { onlyFrom } from "../http/allowed-addresses.ts";
import { textResponse } from "../http/error-response.ts";
import { TOKEN_PATH_PREFIX } from "../http/logged-path.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";
import { namedPath } from "../repo/resolve-repository.ts";
import { formatDecision } from "./access-decision.ts";
import { NO_CACHE_HEADERS, routeOf } from "./route.ts";
import { HEALTH_PATH } from "./stream-tier.ts";
import type { TierKeys, TierTokenFault } from "./tier-token.ts";

export interface TierHttpOptions {
  readonly keys: TierKeys;
  /** Gets requests without the token, and the decision that it stands for as `authorizerContext.access`. */
  readonly git: HttpHandler;
  /** Empty: every address is served. The question for its health is answered to all. */
  readonly allowedAddresses?: readonly AddressRange[];
  readonly log: Logger;
  readonly now?: () => number;
}

const TEXTS: Readonly<Record<TierTokenFault | "service", string>> = {
  "not-valid": "use the mirror's own address: this one leads nowhere",
  expired: "use the mirror's own address: this one has expired",
  "other-repository": "use the mirror's own address: this one is for another repository",
  "other-caller": "use the mirror's own address: this one was given to another caller",
  "other-network":
    "use the mirror's own address: this one was given to another network. If your clients leave by several, set streamTierTokens to any-network",
  service: "this address serves clones and fetches only",
};

export function tierHttp(options: TierHttpOptions): HttpHandler {
  const answer = onlyFrom(options.allowedAddresses ?? [], answerTokens(options));
  const isHealth = (path: string) => path === HEALTH_PATH || path === `${HEALTH_PATH}/live`;
  return async (request) => (isHealth(request.path) ? textResponse(200, "ok") : answer(request));
}

function answerTokens({ keys, git, log, now = Date.now }: TierHttpOptions): HttpHandler {
  const refuse = (request: HttpRequest, fault: keyof typeof TEXTS, repo?: string): HttpResponse => {
    const { remoteAddress: address, method } = request;
    const fields = { address, method, repo, verdict: `tier-${fault}`, status: 403 };
    // The rest are strangers, who try addresses at random.
    const hasToken = request.path.startsWith(TOKEN_PATH_PREFIX);
    log.info("access:decided", fields, hasToken ? { TierRefusals: 1 } : undefined);
    // 401 would make git erase a valid credential.
    return textResponse(403, TEXTS[fault], NO_CACHE_HEADERS);
  };
  return async (request) => {
    const { token, path } = parted(request.path);
    const route = routeOf({ ...request, path });
    if (token === undefined || route.kind === "refused") return refuse(request, "not-valid");
    const { repository, kind: service } = route;
    const { headers, remoteAddress: address, method } = request;
    const { authorization } = headers;
    const repo = namedPath(repository);
    if (service !== "info-refs" && service !== "upload-pack") return refuse(request, "service", repo);
    const decision = keys.read(token, { repository, authorization, remoteAddress: address, service }, now());
    if (typeof decision === "string") return refuse(request, decision, repo);
    log.info("access:decided", { address, method, service, repo, verdict: "tier-token" });
    return git({
      ...request,
      path,
      authorizerContext: { access: formatDecision(decision, { service, repository }) },
    });
  };
}

function parted(path: string): { readonly token: string | undefined; readonly path: string } {
  if (!path.startsWith(TOKEN_PATH_PREFIX)) return { token: undefined, path };
  const end = path.indexOf("/", TOKEN_PATH_PREFIX.length);
  return end < 0
    ? { token: undefined, path }
    : { token: path.slice(TOKEN_PATH_PREFIX.length, end), path: path.slice(end) };
}
