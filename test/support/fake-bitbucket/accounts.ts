/**
 * Who may do what, and what each repository is set to; from a small JSON file or an option.
 * Keys of `rights` and `repositories` are `workspace/slug`, `workspace` or `*`; the most specific one counts.
 */
import { readFile } from "node:fs/promises";
import * as z from "zod";

const rightSchema = z.enum(["none", "read", "write", "admin"]);

const callerSchema = z.strictObject({
  /** The Bitbucket username. */
  name: z.string().min(1),
  /** What REST takes as Basic username of a user; `<name>@example.com` when absent. */
  email: z.string().optional(),
  token: z.string().min(1),
  /**
   * `user`: a person's API token. `access-token`: a repository, project or workspace access token. `oauth-token`: of an OAuth
   * consumer. `app-password`: what Bitbucket no longer has.
   */
  kind: z.enum(["user", "access-token", "oauth-token", "app-password"]).default("user"),
  /** For a token that was good once: what it is answered now. */
  refusal: z.strictObject({ status: z.number().int().min(400).max(499), text: z.string() }).optional(),
  rights: z.record(z.string(), rightSchema),
  /** Reported in REST's answers; nothing is refused for want of one. */
  scopes: z.array(z.string()).optional(),
});

const accountsSchema = z.strictObject({
  callers: z.array(callerSchema).default([]),
  repositories: z
    .record(
      z.string(),
      z.strictObject({
        public: z.boolean().optional(),
        /** A project's key. */
        project: z.string().optional(),
        uuid: z.uuid().optional(),
        /** `workspace/slug`: git is redirected from there. */
        formerNames: z.array(z.string()).optional(),
      }),
    )
    .default({}),
});

export type Right = z.infer<typeof rightSchema>;
export type Caller = z.infer<typeof callerSchema>;
export type Accounts = z.infer<typeof accountsSchema>;
/** As written in a file: defaults may be left out. */
export type AccountsInput = z.input<typeof accountsSchema>;

/** Everything is public, and `developer:developer` may do everything. */
export const OPEN_ACCOUNTS: AccountsInput = {
  callers: [{ name: "developer", token: "developer", rights: { "*": "admin" } }],
  repositories: { "*": { public: true } },
};

export function parseAccounts(input: unknown): Accounts {
  return accountsSchema.parse(input);
}

export async function readAccountsFile(path: string): Promise<Accounts> {
  return parseAccounts(JSON.parse(await readFile(path, "utf8")));
}

export type Identity =
  | { readonly kind: "anonymous" }
  | { readonly kind: "refused"; readonly refusal?: NonNullable<Caller["refusal"]> }
  | { readonly kind: "known"; readonly caller: Caller };

/**
 * Git and REST want different usernames for the same token, as on Bitbucket: git the username or a fixed word, REST the
 * e-mail address. Both take it as Bearer.
 */
export function identify(
  authorization: string | undefined,
  surface: "git" | "rest",
  accounts: Accounts,
): Identity {
  if (authorization === undefined) return { kind: "anonymous" };
  const [scheme = "", value = ""] = authorization.split(" ", 2);
  const caller = accounts.callers.find((candidate) => {
    if (scheme.toLowerCase() === "bearer") return candidate.token === value;
    if (scheme.toLowerCase() !== "basic") return false;
    const [, username, password] =
      /^([^:]*):(.*)$/s.exec(Buffer.from(value, "base64").toString("utf8")) ?? [];
    return (
      username !== undefined &&
      password === candidate.token &&
      usernames(candidate, surface).includes(username)
    );
  });
  if (caller === undefined) return { kind: "refused" };
  const refusal = caller.refusal ?? (caller.kind === "app-password" ? APP_PASSWORD_REFUSAL : undefined);
  return refusal === undefined ? { kind: "known", caller } : { kind: "refused", refusal };
}

const APP_PASSWORD_REFUSAL = { status: 410, text: "App passwords have been removed. Use an API token." };

function usernames(caller: Caller, surface: "git" | "rest"): string[] {
  switch (caller.kind) {
    case "user":
      return surface === "rest" ? [emailOf(caller)] : [caller.name, "x-bitbucket-api-token-auth"];
    case "access-token":
    case "oauth-token":
      return surface === "rest" ? [] : ["x-token-auth"];
    case "app-password":
      return [caller.name];
  }
}

function emailOf(caller: Caller): string {
  return caller.email ?? `${caller.name}@example.com`;
}

const RIGHT_ORDER: readonly Right[] = ["none", "read", "write", "admin"];

export function includesRight(held: Right, needed: Right): boolean {
  return RIGHT_ORDER.indexOf(held) >= RIGHT_ORDER.indexOf(needed);
}

/** @param slug - Absent: the right on the workspace itself. */
export function rightOf(
  caller: Caller,
  { workspace, slug }: { readonly workspace: string; readonly slug?: string },
): Right {
  return matching(caller.rights, workspace, slug).at(-1) ?? "none";
}

export function repositorySettings(
  accounts: Accounts,
  workspace: string,
  slug: string,
): Accounts["repositories"][string] {
  return Object.assign({}, ...matching(accounts.repositories, workspace, slug));
}

/** What is said of a repository, the most specific last. */
function matching<T>(byPattern: Readonly<Record<string, T>>, workspace: string, slug?: string): T[] {
  const patterns = ["*", workspace, ...(slug === undefined ? [] : [`${workspace}/${slug}`])];
  const found = patterns.map((pattern) =>
    Object.entries(byPattern).find(([key]) => key.toLowerCase() === pattern.toLowerCase()),
  );
  return found.flatMap((entry) => (entry === undefined ? [] : [entry[1]]));
}
