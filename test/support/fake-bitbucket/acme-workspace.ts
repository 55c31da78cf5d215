/** A workspace to try the fake with: a private and a public repository, and one caller of each kind. */
import { join } from "node:path";
import { git } from "../git/run-git.ts";
import { makeSampleRepository } from "../git/sample-repository.ts";
import { temporaryFolder } from "../git/temporary-folder.ts";
import type { AccountsInput } from "./accounts.ts";
import { type FakeBitbucket, type FakeBitbucketOptions, startFakeBitbucket } from "./fake-bitbucket.ts";

const ACCOUNTS: AccountsInput = {
  callers: [
    { name: "wanda", token: "wanda-token", rights: { acme: "write" } },
    { name: "rita", token: "rita-token", rights: { "acme/vault": "read" } },
    { name: "olga", token: "olga-token", rights: { acme: "admin" } },
    { name: "robot", token: "robot-token", kind: "access-token", rights: { acme: "read" } },
    { name: "stranger", token: "stranger-token", rights: {} },
  ],
  repositories: { "acme/site": { public: true, project: "WEB" } },
};

export interface AcmeWorkspace {
  readonly fake: FakeBitbucket;
  /** Removed by {@link close}. */
  readonly folder: string;
  /** The bare repository behind acme/`slug`; there are `vault` (private) and `site` (public, project WEB). */
  primary(slug: string): string;
  /** Credentials in the URL, as in `https://user:token@bitbucket.org/…`. */
  gitUrlAs(userinfo: string, path: string): string;
  /** @returns The new work tree. */
  cloneAs(userinfo: string, path: string): Promise<string>;
  close(): Promise<void>;
}

export async function openAcmeWorkspace(
  options: Omit<FakeBitbucketOptions, "repositoriesFolder" | "accounts"> = {},
): Promise<AcmeWorkspace> {
  const { path: folder, remove } = await temporaryFolder();
  const primary = (slug: string) => join(folder, `primary/acme/${slug}.git`);
  await makeSampleRepository(primary("vault"));
  await makeSampleRepository(primary("site"), { commitCount: 2 });
  const repositoriesFolder = join(folder, "primary");
  const fake = await startFakeBitbucket({ ...options, repositoriesFolder, accounts: ACCOUNTS });
  const gitUrlAs = (userinfo: string, path: string) =>
    `${fake.gitUrl.replace("//", `//${userinfo}@`)}/${path}`;
  let cloneCount = 0;
  return {
    fake,
    folder,
    primary,
    gitUrlAs,
    async cloneAs(userinfo, path) {
      cloneCount += 1;
      const target = join(folder, `clone-${cloneCount}`);
      await git(["clone", "--quiet", gitUrlAs(userinfo, path), target]);
      return target;
    },
    async close() {
      await fake.close();
      await remove();
    },
  };
}
