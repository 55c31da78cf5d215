/** How the mirror shows itself to Bitbucket, which wants the same token under different names for REST and for git. */

import * as z from "zod/mini";

/** What the operator has: nothing, a user's API token, or an access token of a workspace, project or repository. */
export type BitbucketAccount =
  | { readonly kind: "none" }
  | { readonly kind: "api-token"; readonly email: string; readonly token: string }
  | { readonly kind: "access-token"; readonly token: string };

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

const accountSchema = z.pipe(
  z.strictObject({ email: z.optional(text), token: text }),
  z.transform(
    ({ email, token }): BitbucketAccount =>
      email === undefined ? { kind: "access-token", token } : { kind: "api-token", email, token },
  ),
);

/**
 * @param text - JSON: `{"email": "…", "token": "…"}` for a user's API token, `{"token": "…"}` for an access token.
 * @returns `undefined` for anything else; nothing quotes it.
 */
export function parseAccount(text: string | undefined): BitbucketAccount | undefined {
  try {
    return accountSchema.parse(JSON.parse(text ?? ""));
  } catch {
    return undefined; // these errors would quote the secret
  }
}
