/** Sessions: begun by a credential that Bitbucket accepts, ended by the visitor or after an hour. */
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { readBody } from "../read-body.ts";
import { callerOf } from "./caller.ts";
import { type Context, isSecure, viewerOf } from "./page-context.ts";
import { htmlResponse, redirectResponse } from "./page-response.ts";
import { isSameOrigin } from "./same-origin.ts";
import { MAX_CREDENTIAL_LENGTH, sessionCookie } from "./sessions.ts";
import { signInPage } from "./sign-in-page.ts";

const MAX_FORM_BYTES = 16 * 1024;

export async function signIn(request: HttpRequest, context: Context): Promise<HttpResponse> {
  const viewer = viewerOf(undefined, context);
  const refuse = (status: number, problem: string, user = "") =>
    htmlResponse(request, status, signInPage({ viewer, problem, user }));
  if (!isSameOrigin(request)) return refuse(403, "The form was sent by another site. Sign in here.");
  const form = new URLSearchParams(
    (await readBody(request.body, MAX_FORM_BYTES, "the form")).toString("utf8"),
  );
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
  return redirectResponse("/", {
    "set-cookie": sessionCookie(context.sessions.seal(user, token), isSecure(request)),
  });
}

export function signOut(request: HttpRequest): HttpResponse {
  if (!isSameOrigin(request)) return redirectResponse("/");
  return redirectResponse("/", { "set-cookie": sessionCookie("", isSecure(request)) });
}

export function sessionEnded(request: HttpRequest, context: Context): Promise<HttpResponse> {
  const problem = "Your session has ended. Sign in again.";
  return htmlResponse(request, 401, signInPage({ viewer: viewerOf(undefined, context), problem }), {
    "set-cookie": sessionCookie("", isSecure(request)),
  });
}
