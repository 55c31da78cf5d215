/** Answers of `/-/api/v1`. */
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { apiVisitOf, type Context, listOf, NO_REPOSITORY, readableFacts } from "./page-context.ts";
import { apiResponse } from "./page-response.ts";
import type { NamedRepository } from "./ports.ts";

export async function answerApiList(request: HttpRequest, context: Context): Promise<HttpResponse> {
  const visit = apiVisitOf(request, context);
  if (visit === "not-a-credential" || visit.hasExpired) return unauthorized(request, context);
  const { rejection, ...data } = await listOf(request, visit.caller, context);
  if (rejection !== undefined) return unauthorized(request, context, rejection);
  return apiResponse(request, { schema: "repository-list", data, now: context.now() });
}

export async function answerApiRepository(
  request: HttpRequest,
  named: NamedRepository,
  context: Context,
): Promise<HttpResponse> {
  const visit = apiVisitOf(request, context);
  if (visit === "not-a-credential" || visit.hasExpired) return unauthorized(request, context);
  const found = await readableFacts(request, visit.caller, named, context);
  const now = context.now();
  if ("state" in found) return apiResponse(request, { schema: "repository", data: found, now });
  if (found.kind === "unauthorized" && visit.caller !== undefined)
    return unauthorized(request, context, found.text);
  const isBusy = found.kind === "busy";
  const data = isBusy ? { code: "BUSY", text: found.text } : { code: "NOT_FOUND", text: NO_REPOSITORY };
  return apiResponse(request, { status: isBusy ? 503 : 404, schema: "error", data, now });
}

function unauthorized(
  request: HttpRequest,
  { now }: Context,
  text = "Bitbucket does not accept this credential.",
): Promise<HttpResponse> | HttpResponse {
  const data = { code: "UNAUTHORIZED", text };
  return apiResponse(request, { status: 401, schema: "error", data, now: now() });
}
