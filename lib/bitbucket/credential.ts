/** How the mirror shows itself to Bitbucket, which wants the same token under different names for REST and for git. */

import * as z from "zod/mini";

/** What the operator has: nothing, or a credential, and perhaps a second one for when Bitbucket rejects the first. */
export type BitbucketAccount =
  | { readonly kind: "none" }
  | (BitbucketCredential & { readonly second?: BitbucketCredential });

/** A user's API token, or an access token of a workspace, project or repository. */
export type BitbucketCredential =
  | ({ readonly kind: "api-token"; readonly email: string; readonly token: string } & TokenEnd)
  | ({ readonly kind: "access-token"; readonly token: string } & TokenEnd);

interface TokenEnd {
  /** A date, `2027-11-30`, as people wrote it. */
  readonly expires?: string;
}

/** @returns The header `Authorization` for REST. */
export function restAuthorization(account: BitbucketAccount): string | undefined {
  if (account.kind === "access-token") return `Bearer ${account.token}`;
  return account.kind === "none" ? undefined : basicAuthorization(account.email, account.token);
}

/** @returns The header `Authorization` for git and git-lfs. */
export function gitAuthorization(account: BitbucketAccount): string | undefined {
  if (account.kind === "none") return undefined;
  const username = account.kind === "api-token" ? "x-bitbucket-api-token-auth" : ACCESS_TOKEN_USER;
  return basicAuthorization(username, account.token);
}

/** Git's username for an access token. */
export const ACCESS_TOKEN_USER = "x-token-auth";

export function basicAuthorization(username: string, token: string): string {
  return `Basic ${Buffer.from(`${username}:${token}`).toString("base64")}`;
}

const text = z.string().check(z.minLength(1));

const credentialSchema = z.pipe(
  z.strictObject({ email: z.exactOptional(text), token: text, expires: z.exactOptional(text) }),
  z.transform(
    ({ email, ...token }): BitbucketCredential =>
      email === undefined ? { kind: "access-token", ...token } : { kind: "api-token", email, ...token },
  ),
);

/**
 * @param text - JSON: `{"email": "…", "token": "…"}` for a user's API token, `{"token": "…"}` for an access token; either may have
 * `"expires": "2027-11-30"`, the day on which the token ends. Or a list of two of these.
 * @returns `undefined` for anything else; nothing quotes it.
 */
export function parseAccount(text: string | undefined): BitbucketAccount | undefined {
  try {
    const json: unknown = JSON.parse(text ?? "");
    if (!Array.isArray(json)) return credentialSchema.parse(json);
    const [first, second, ...more] = json.map((one) => credentialSchema.parse(one));
    return first === undefined || second === undefined || more.length > 0 ? undefined : { ...first, second };
  } catch {
    return undefined; // these errors would quote the secret
  }
}
