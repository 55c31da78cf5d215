/** Who asks for a page: the credential that git uses, and what REST takes of it. */
import {
  ACCESS_TOKEN_USER,
  type BitbucketAccount,
  basicAuthorization,
  gitAuthorization,
  restAuthorization,
} from "../bitbucket/credential.ts";

export interface Caller {
  /** For the page's head. */
  readonly name: string;
  /** As git sends it. */
  readonly authorization: string;
  /** The header for REST; absent where REST does not take the credential: it wants an e-mail address with a user's API token. */
  readonly rest?: string | undefined;
  /** The request itself has the credential, not a session. */
  readonly isByHeader?: true;
}

/** @param user - An e-mail address, a username of git's, or nothing with an access token. */
export function callerOf(user: string, token: string): Caller {
  if (user === "" || user === ACCESS_TOKEN_USER)
    return callerOfAccount("access token", { kind: "access-token", token });
  if (user.includes("@")) return callerOfAccount(user, { kind: "api-token", email: user, token });
  return { name: user, authorization: basicAuthorization(user, token) };
}

function callerOfAccount(name: string, account: BitbucketAccount): Caller {
  return { name, authorization: gitAuthorization(account) ?? "", rest: restAuthorization(account) };
}

/**
 * @param authorization - A request's header.
 * @returns `undefined` if it holds no credential that Bitbucket knows.
 */
export function callerOfHeader(authorization: string): Caller | undefined {
  const [, scheme = "", value = ""] = /^(basic|bearer) +([\x21-\x7e]{1,8000})$/i.exec(authorization) ?? [];
  if (scheme === "") return undefined;
  if (scheme.toLowerCase() === "bearer") return callerOf("", value);
  const text = Buffer.from(value, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : callerOf(text.slice(0, colon), text.slice(colon + 1));
}
