/** Sessions: begun by a credential that Bitbucket accepts, ended by the visitor or after an hour. */
import { UpstreamError } from "../errors.ts";
import { addressBlock } from "../http/address-block.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { type Caller, callerOf } from "./caller.ts";
import { type Context, isSecure, viewerOf } from "./page-context.ts";
import { htmlResponse, redirectResponse } from "./page-response.ts";
import type { ReadDecision } from "./ports.ts";
import { isSameOrigin } from "./same-origin.ts";
import { MAX_CREDENTIAL_LENGTH, sessionCookie } from "./sessions.ts";
import { signInPage } from "./sign-in-page.ts";

export const SIGN_IN_PATH = "/-/sign-in";

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
  const caller = callerOf(user, token);
  const decision =
    (await context.visible.check(request, caller)) ?? (await checkAdministrator(request, caller, context));
  if (decision === undefined)
    return refuse(503, "Nothing is mirrored here yet, so there is nothing to sign in for.", user);
  if (decision.kind === "unauthorized")
    return refuse(401, `Bitbucket did not accept this credential. ${decision.text}.`, user);
  if (decision.kind === "busy") return refuse(503, decision.text, user);
  return redirectResponse(homeOf(request), {
    "set-cookie": sessionCookie(context.sessions.seal(user, token), isSecure(request)),
  });
}

/**
 * While all workspaces are paused or removed there is no repository to ask Bitbucket about: their administrators may sign in.
 * @returns `undefined` for all others.
 */
async function checkAdministrator(
  request: HttpRequest,
  caller: Caller,
  { administrators, administratorGuesses, readConfig }: Context,
): Promise<ReadDecision | undefined> {
  if ((await readConfig()).workspaces.length === 0) return undefined;
  // Each is a question to Bitbucket.
  if (administratorGuesses.take(addressBlock(request.remoteAddress)) > 0)
    return { kind: "busy", text: "Too many attempts to sign in. Try again in a minute" };
  try {
    return (await administrators.ofMirrored(caller, readConfig)).length > 0 ? { kind: "allowed" } : undefined;
  } catch (error) {
    if (error instanceof UpstreamError)
      return { kind: "busy", text: "Bitbucket could not be asked just now" };
    throw error;
  }
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
