/** Sessions: begun by a credential that Bitbucket accepts, ended by the visitor or after an hour. */
import { bodyWithin } from "../http/body-within.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { readBody } from "../read-body.ts";
import { callerOf } from "./caller.ts";
import { type Context, isSecure, viewerOf } from "./page-context.ts";
import { htmlResponse, redirectResponse } from "./page-response.ts";
import { isSameOrigin } from "./same-origin.ts";
import { MAX_CREDENTIAL_LENGTH, sessionCookie } from "./sessions.ts";
import { signInPage } from "./sign-in-page.ts";

export const SIGN_IN_PATH = "/-/sign-in";

const MAX_FORM_BYTES = 16 * 1024;
const FORM_TIME = { maxMs: 10_000, maxIdleMs: 10_000 };

/**
 * @returns `undefined` if there is no form, or another site has sent it.
 * @throws {LimitExceededError} @throws {OverloadedError} 408: it does not arrive in time.
 */
export async function readSignInForm(request: HttpRequest): Promise<URLSearchParams | undefined> {
  if (request.method !== "POST" || request.path !== SIGN_IN_PATH || !isSameOrigin(request)) return undefined;
  const body = await readBody(bodyWithin(request.body, FORM_TIME), MAX_FORM_BYTES, "the form");
  return new URLSearchParams(body.toString("utf8"));
}

export async function signIn(
  request: HttpRequest,
  form: URLSearchParams | undefined,
  context: Context,
): Promise<HttpResponse> {
  const viewer = viewerOf(request, undefined, context);
  const refuse = (status: number, problem: string, user = "") =>
    htmlResponse(request, status, signInPage({ viewer, problem, user }));
  if (form === undefined) return refuse(403, "The form was sent by another site. Sign in here.");
  const user = (form.get("user") ?? "").trim();
  const token = (form.get("token") ?? "").trim();
  if (token === "") return refuse(400, "Enter a token.", user);
  // A header could not carry anything else.
  if (
    !/^[\x21-\x7e]+$/.test(token) ||
    !/^[^\s:]*$/.test(user) ||
    user.length + token.length > MAX_CREDENTIAL_LENGTH
  )
    return refuse(400, "This is not a token of Bitbucket: it has other characters, or is too long.", user);
  const decision = await context.visible.check(request, callerOf(user, token));
  if (decision === undefined)
    return refuse(503, "Nothing is mirrored here yet, so there is nothing to sign in for.", user);
  if (decision.kind === "unauthorized")
    return refuse(401, `Bitbucket did not accept this credential. ${decision.text}.`, user);
  if (decision.kind === "busy") return refuse(503, decision.text, user);
  return redirectResponse(homeOf(request), {
    "set-cookie": sessionCookie(context.sessions.seal(user, token), isSecure(request)),
  });
}

export function signOut(request: HttpRequest): HttpResponse {
  if (!isSameOrigin(request)) return redirectResponse(homeOf(request));
  return redirectResponse(homeOf(request), { "set-cookie": sessionCookie("", isSecure(request)) });
}

export function sessionEnded(request: HttpRequest, context: Context): Promise<HttpResponse> {
  const problem = "Your session has ended. Sign in again.";
  return htmlResponse(request, 401, signInPage({ viewer: viewerOf(request, undefined, context), problem }), {
    "set-cookie": sessionCookie("", isSecure(request)),
  });
}

function homeOf({ basePath = "" }: HttpRequest): string {
  return `${basePath}/`;
}
