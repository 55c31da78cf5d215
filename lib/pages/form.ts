/** Forms that pages of this server send. */
import { bodyWithin } from "../http/body-within.ts";
import type { HttpRequest } from "../http/message.ts";
import { readBody } from "../read-body.ts";
import { isSameOrigin } from "./same-origin.ts";

const MAX_FORM_BYTES = 16 * 1024;
const FORM_TIME = { maxMs: 10_000, maxIdleMs: 10_000 };

/**
 * @returns `undefined` if there is none, or another site has sent it.
 * @throws {LimitExceededError} @throws {OverloadedError} 408: it does not arrive in time.
 */
export async function readForm(request: HttpRequest): Promise<URLSearchParams | undefined> {
  if (request.method !== "POST" || !isSameOrigin(request)) return undefined;
  const body = await readBody(bodyWithin(request.body, FORM_TIME), MAX_FORM_BYTES, "the form");
  return new URLSearchParams(body.toString("utf8"));
}
