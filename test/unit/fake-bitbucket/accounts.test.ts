import { expect, test } from "vitest";
import {
  type AccountsInput,
  identify,
  parseAccounts,
  repositorySettings,
  rightOf,
} from "../../support/fake-bitbucket/accounts.ts";

const INPUT: AccountsInput = {
  callers: [
    { name: "ada", token: "a:1", rights: { "*": "read", Acme: "write", "acme/vault": "none" } },
    { name: "robot", token: "r", kind: "access-token", rights: {} },
  ],
  repositories: { "*": { public: true }, acme: { project: "A" }, "acme/vault": { public: false } },
};

test.each([
  { surface: "git", credential: "ada:a:1", name: "ada" },
  { surface: "git", credential: "x-bitbucket-api-token-auth:a:1", name: "ada" },
  { surface: "git", credential: "ada@example.com:a:1", name: undefined },
  { surface: "git", credential: "x-token-auth:a:1", name: undefined },
  { surface: "git", credential: "x-token-auth:r", name: "robot" },
  { surface: "rest", credential: "ada@example.com:a:1", name: "ada" },
  { surface: "rest", credential: "ada:a:1", name: undefined },
  { surface: "rest", credential: "x-token-auth:r", name: undefined },
] as const)("Basic $credential for $surface is $name", ({ surface, credential, name }) => {
  const identity = identify(`Basic ${btoa(credential)}`, surface, parseAccounts(INPUT));
  expect(identity.kind === "known" ? identity.caller.name : undefined).toBe(name);
});

test("a token as Bearer is known to both, a wrong one is refused, none is anonymous", () => {
  const accounts = parseAccounts(INPUT);
  for (const surface of ["git", "rest"] as const) {
    expect(identify("Bearer r", surface, accounts)).toMatchObject({ caller: { name: "robot" } });
    expect(identify("Bearer x", surface, accounts)).toEqual({ kind: "refused" });
    expect(identify("Basic ?", surface, accounts)).toEqual({ kind: "refused" });
    expect(identify(undefined, surface, accounts)).toEqual({ kind: "anonymous" });
  }
});

test("the most specific right and setting count, in any case", () => {
  const accounts = parseAccounts(INPUT);
  const [ada] = accounts.callers;
  if (ada === undefined) throw new Error("no caller");
  expect(rightOf(ada, { workspace: "other", slug: "x" })).toBe("read");
  expect(rightOf(ada, { workspace: "ACME", slug: "x" })).toBe("write");
  expect(rightOf(ada, { workspace: "acme", slug: "Vault" })).toBe("none");
  expect(repositorySettings(accounts, "acme", "x")).toEqual({ public: true, project: "A" });
  expect(repositorySettings(accounts, "acme", "vault")).toEqual({ public: false, project: "A" });
});

test("a misspelt right or field is refused", () => {
  expect(() => parseAccounts({ callers: [{ name: "a", token: "t", rights: { "*": "reed" } }] })).toThrow(
    "rights",
  );
  expect(() => parseAccounts({ caller: [] })).toThrow("caller");
});
