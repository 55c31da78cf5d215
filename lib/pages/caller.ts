/** Who asks for a page: the credential that git uses, and what REST takes of it. */
import {
  authorizationHeader,
  type BitbucketCredential,
  gitCredential,
  restCredential,
} from "../bitbucket/credential.ts";

export interface Caller {
  /** For the page's head. */
  readonly name: string;
  /** As git sends it. */
  readonly authorization: string;
  /** Absent where REST does not take the credential: it wants an e-mail address with a user's API token. */
  readonly rest?: BitbucketCredential;
}

/** Git's username for an access token; see lib/bitbucket/credential.ts. */
const ACCESS_TOKEN_USER = "x-token-auth";

/** @param user - An e-mail address, a username of git's, or nothing with an access token. */
export function callerOf(user: string, token: string): Caller {
  if (user === "" || user === ACCESS_TOKEN_USER) {
    const account = { kind: "access-token", token } as const;
    return {
      name: "access token",
      ...gitAuthorization(gitCredential(account)),
      rest: restCredential(account),
    };
  }
  if (user.includes("@")) {
    const account = { kind: "api-token", email: user, token } as const;
    return { name: user, ...gitAuthorization(gitCredential(account)), rest: restCredential(account) };
  }
  return { name: user, ...gitAuthorization({ kind: "basic", username: user, token }) };
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

function gitAuthorization(credential: BitbucketCredential): { authorization: string } {
  return { authorization: authorizationHeader(credential)["Authorization"] ?? "" };
}
