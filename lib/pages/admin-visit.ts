/** A request of an administrator's session, and the messages that answer it. */
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { Caller } from "./caller.ts";
import { type Context, viewerOf } from "./page-context.ts";
import { htmlResponse } from "./page-response.ts";
import type { Administration } from "./ports.ts";
import { messagePage } from "./sign-in-page.ts";

export const ADMIN_PATH = "/-/admin";

export interface Visit {
  readonly request: HttpRequest;
  readonly context: Context;
  readonly administration: Administration;
  readonly caller: Caller;
}

/** What all of these pages need. */
export function pageOf({ request, context, caller }: Visit) {
  return {
    viewer: viewerOf(request, caller, context),
    nowMs: context.now(),
  };
}

export function message(visit: Visit, status: number, title: string, text: string): Promise<HttpResponse> {
  const { request, context, caller } = visit;
  return htmlResponse(request, status, messagePage(viewerOf(request, caller, context), title, text));
}
