/** The status of repositories, waiting for them and plans of clones, without git: a process of its own for them takes little memory. */
import { notFoundResponse } from "../http/error-response.ts";
import type { HttpHandler } from "../http/message.ts";
import { refusalResponse } from "./access-decision.ts";
import type { GitHttpOptions } from "./git-http.ts";
import { NO_CACHE_HEADERS, routeOf } from "./route.ts";
import { findServed } from "./served-source.ts";
import { answerStatus, answerWait } from "./status.ts";

/** As `gitHttp` answers them. */
export function statusHttp(
  options: Pick<GitHttpOptions, "access" | "find" | "onDemand" | "unserved" | "readState" | "clonePlan">,
): HttpHandler {
  const { access, onDemand, readState } = options;
  return async (request) => {
    const route = routeOf(request);
    if (route.kind === "refused") return route.response;
    const { kind: service, repository: asked } = route;
    if (service !== "status" && service !== "wait" && service !== "clone-plan")
      return notFoundResponse(NO_CACHE_HEADERS);
    const decision = await access({ request, service, repository: asked });
    if (decision.kind === "refused") return refusalResponse(decision);
    const { primaryPath, uuid, plainPath = primaryPath } = decision;
    const needs = { refs: service === "wait", primaryPath, uuid };
    const source = await findServed(options, { request, service, asked, needs, plainPath });
    if ("status" in source) return source;
    if (service === "status") return answerStatus(source, readState);
    if (service === "clone-plan")
      return (await options.clonePlan?.(source, request, decision)) ?? notFoundResponse(NO_CACHE_HEADERS);
    const name = request.authorizerContext?.["caller"];
    const callers = typeof name === "string" ? [name] : [];
    return answerWait(source, request, async (missing, lookedAt) =>
      onDemand?.refresh(asked, needs, { missing, callers, lookedAt, signal: request.signal }),
    );
  };
}
