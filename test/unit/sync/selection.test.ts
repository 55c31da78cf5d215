import { beforeEach, expect, test } from "vitest";
import type { BitbucketRepository, BitbucketRestApi } from "../../../lib/bitbucket/rest-api.ts";
import { NotFoundError, UpstreamError } from "../../../lib/errors.ts";
import { RepositorySelector, type Selection } from "../../../lib/sync/selection.ts";

const ALL = [
  ["acme", "site", "WEB"],
  ["acme", "shop", "WEB"],
  ["acme", "vault", "CORE"],
  ["other", "tools", "OPS"],
].map(
  ([workspace = "", slug = "", projectKey = ""]): BitbucketRepository => ({
    uuid: `uuid-of-${slug}`,
    workspace,
    slug,
    fullName: `${workspace}/${slug}`,
    isPrivate: true,
    mainBranch: "main",
    cloneUrl: `https://bitbucket.org/${workspace}/${slug}.git`,
    projectKey,
    updatedOn: "2026-01-01T00:00:00Z",
    sizeBytes: 1,
  }),
);

let isDown = false;
const down = new UpstreamError("down", { retryable: true });

beforeEach(() => {
  isDown = false;
});

const api: BitbucketRestApi = {
  repository: async (workspace, slug) => {
    if (isDown) throw down;
    const found = ALL.find((one) => one.workspace === workspace && one.slug === slug);
    if (found === undefined) throw new NotFoundError("no such repository");
    return found;
  },
  repositories: async function* (workspace, { projectKey } = {}) {
    const all = ALL.filter(
      (one) => one.workspace === workspace && (projectKey ?? one.projectKey) === one.projectKey,
    );
    if (all.length === 0) throw new NotFoundError("no such workspace");
    yield* all.slice(0, 1);
    if (isDown) throw down;
    yield* all.slice(1);
  },
};

function selectorOf(selection: Partial<Selection>): RepositorySelector {
  const whole = { workspace: [], project: [], repository: [], ...selection };
  const mirroredUuid = async (_workspace: string, slug: string) =>
    slug === "vault" ? "uuid-of-vault" : undefined;
  return new RepositorySelector({ api, selection: whole, mirroredUuid });
}

/** Names of repositories; of what failed with a mark. */
async function namesOf(selector: RepositorySelector): Promise<string[]> {
  const names: string[] = [];
  for await (const selected of selector.select()) {
    names.push(selected.kind === "failed" ? `! ${selected.name}` : selected.repository.fullName);
  }
  return names;
}

function select(selection: Partial<Selection>): Promise<string[]> {
  return namesOf(selectorOf(selection));
}

test("a workspace, a project and single repositories", async () => {
  expect(await select({ workspace: ["acme"] })).toEqual(["acme/site", "acme/shop", "acme/vault"]);
  expect(await select({ project: ["acme/WEB"] })).toEqual(["acme/site", "acme/shop"]);
  expect(await select({ repository: ["other/tools", "acme/vault"] })).toEqual(["other/tools", "acme/vault"]);
  expect(await select({})).toEqual([]);
});

test("what is selected several times comes once, single repositories first", async () => {
  const selection = { workspace: ["acme", "other"], project: ["acme/CORE"], repository: ["acme/shop"] };
  expect(await select(selection)).toEqual(["acme/shop", "acme/vault", "acme/site", "other/tools"]);
});

test("what is missing does not keep the rest of the selection from coming", async () => {
  const selection = {
    repository: ["acme/gone", "other/tools"],
    project: ["nobody/WEB", "acme/CORE"],
    workspace: ["nobody", "acme"],
  };
  expect(await select(selection)).toEqual([
    "! acme/gone",
    "other/tools",
    "! nobody/WEB",
    "acme/vault",
    "! nobody",
    "acme/site",
    "acme/shop",
  ]);
});

test("while REST is down, what it said before still counts", async () => {
  const selector = selectorOf({ repository: ["other/tools"], workspace: ["acme"] });
  const before = await namesOf(selector);
  isDown = true;
  expect(before).toEqual(["other/tools", "acme/site", "acme/shop", "acme/vault"]);
  expect(await namesOf(selector)).toEqual([
    "! other/tools",
    "other/tools",
    "acme/site",
    "! acme",
    "acme/shop",
    "acme/vault",
  ]);
});

test("while REST is down, a single repository is known from an earlier run", async () => {
  isDown = true;
  expect(await select({ repository: ["acme/vault", "acme/site"] })).toEqual([
    "! acme/vault",
    "acme/vault",
    "! acme/site",
  ]);
});
