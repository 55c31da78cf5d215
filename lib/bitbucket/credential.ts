/** How the mirror shows itself to Bitbucket, which wants the same token under different names for REST and for git. */

import * as z from "zod/mini";

/** What one request carries. */
export type BitbucketCredential =
  | { readonly kind: "none" }
  | { readonly kind: "basic"; readonly username: string; readonly token: string }
  | { readonly kind: "bearer"; readonly token: string };

/** What the operator has: nothing, a user's API token, or an access token of a workspace, project or repository. */
export type BitbucketAccount =
  | { readonly kind: "none" }
  | { readonly kind: "api-token"; readonly email: string; readonly token: string }
  | { readonly kind: "access-token"; readonly token: string };

export function restCredential(account: BitbucketAccount): BitbucketCredential {
  switch (account.kind) {
    case "none":
      return account;
    case "api-token":
      return { kind: "basic", username: account.email, token: account.token };
    case "access-token":
      return { kind: "bearer", token: account.token };
  }
}

export function gitCredential(account: BitbucketAccount): BitbucketCredential {
  switch (account.kind) {
    case "none":
      return account;
    case "api-token":
      return { kind: "basic", username: "x-bitbucket-api-token-auth", token: account.token };
    case "access-token":
      return { kind: "basic", username: "x-token-auth", token: account.token };
  }
}

export function authorizationHeader(credential: BitbucketCredential): Record<string, string> {
  switch (credential.kind) {
    case "none":
      return {};
    case "basic": {
      const bytes = new TextEncoder().encode(`${credential.username}:${credential.token}`);
      return { Authorization: `Basic ${Buffer.from(bytes).toString("base64")}` };
    }
    case "bearer":
      return { Authorization: `Bearer ${credential.token}` };
  }
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
