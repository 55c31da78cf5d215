import { expect, test } from "vitest";
import type { BitbucketRepository, BitbucketRestApi } from "../../../lib/bitbucket/rest-api.ts";
import { NotFoundError } from "../../../lib/errors.ts";
import { type Selection, selectRepositories } from "../../../lib/sync/selection.ts";

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

const api: BitbucketRestApi = {
  repository: async (workspace, slug) => {
    const found = ALL.find((one) => one.workspace === workspace && one.slug === slug);
    if (found === undefined) throw new NotFoundError("no such repository");
    return found;
  },
  repositories: async function* (workspace, { projectKey } = {}) {
    yield* ALL.filter(
      (one) => one.workspace === workspace && (projectKey ?? one.projectKey) === one.projectKey,
    );
  },
};

async function select(selection: Partial<Selection>): Promise<string[]> {
  const names: string[] = [];
  const whole = { workspace: [], project: [], repository: [], ...selection };
  for await (const { fullName } of selectRepositories(api, whole)) names.push(fullName);
  return names;
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
