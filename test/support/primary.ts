/** A fake Bitbucket with one repository to mirror, `acme/sample`, and what tests compare a mirror with. */
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { type FakeBitbucket, startFakeBitbucket } from "./fake-bitbucket/fake-bitbucket.ts";
import { git, tryGit } from "./git/run-git.ts";
import { makeSampleRepository } from "./git/sample-repository.ts";
import { temporaryFolder } from "./git/temporary-folder.ts";

export interface Primary {
  readonly fake: FakeBitbucket;
  /** Removed by `close`. */
  readonly folder: string;
  /** The bare repository. */
  readonly repository: string;
  /** The arguments that make a mirror of it in `folder`/store. */
  readonly mirrorArguments: readonly string[];
  readonly storeFolder: string;
  /** A path in `folder`, not in use. */
  newPath(): string;
  /** Runs git in the bare repository. */
  git(...args: string[]): Promise<string>;
  /** Adds a commit that has `content` as a file named `path`. @returns Its id. */
  commit(branch: string, path: string, content: string): Promise<string>;
  close(): Promise<void>;
}

export interface PrimaryOptions {
  /** Makes the bare repository. By default the sample repository, with few commits. */
  readonly make?: (repository: string) => Promise<void>;
  readonly webhookTimeoutMs?: number;
}

export async function startPrimary({
  make = makeSmallSample,
  ...options
}: PrimaryOptions = {}): Promise<Primary> {
  const { path: folder, remove } = await temporaryFolder();
  const root = join(folder, "primary");
  const repository = join(root, "acme/sample.git");
  await mkdir(join(root, "acme"), { recursive: true });
  await make(repository);
  const fake = await startFakeBitbucket({ ...options, repositoriesFolder: root });
  const storeFolder = join(folder, "store");
  let pathCount = 0;
  return {
    fake,
    folder,
    repository,
    storeFolder,
    mirrorArguments: [
      "--store",
      storeFolder,
      "--git-url",
      fake.gitUrl,
      "--api-url",
      fake.apiUrl,
      "--repository",
      "acme/sample",
      "--poll-seconds",
      "0.1",
    ],
    newPath: () => join(folder, `path-${pathCount++}`),
    git: (...args) => git(args, { cwd: repository }),
    commit: (branch, path, content) => addCommit(repository, branch, path, content),
    close: async () => {
      await fake.close();
      await remove();
    },
  };
}

async function makeSmallSample(repository: string): Promise<void> {
  await makeSampleRepository(repository, { commitCount: 6 });
}

export async function makeEmptyRepository(repository: string, branch = "main"): Promise<void> {
  await git(["init", "--quiet", "--bare", `--initial-branch=${branch}`, repository]);
}

/** As {@link Primary.commit}, in any bare repository. */
export async function addCommit(
  repository: string,
  branch: string,
  path: string,
  content: string,
): Promise<string> {
  const ref = `refs/heads/${branch}`;
  const { exitCode } = await tryGit(["rev-parse", "--verify", "--quiet", ref], { cwd: repository });
  const stream = [
    `commit ${ref}`,
    "committer Carl Committer <carl@example.com> 1800000000 +0000",
    `data ${Buffer.byteLength(path)}`,
    path,
    ...(exitCode === 0 ? [`from ${ref}^0`] : []),
    `M 100644 inline ${path}`,
    `data ${Buffer.byteLength(content)}`,
    content,
    "",
  ];
  await git(["fast-import", "--quiet", "--force"], { cwd: repository, input: stream.join("\n") });
  return git(["rev-parse", ref], { cwd: repository });
}

/** @returns Where the bare repository is now. */
export async function renameRepository({ repository }: Primary, slug: string): Promise<string> {
  const renamed = join(repository, `../${slug}.git`);
  await rename(repository, renamed);
  return renamed;
}

/** Every ref with its value, peeled as well, and where HEAD points; of a folder or an address. */
export function listRefs(repository: string): Promise<string> {
  return git(["-c", "protocol.version=2", "ls-remote", "--symref", repository]);
}

/** The ids of everything that the refs and HEAD reach. */
export async function reachableObjects(repository: string): Promise<string[]> {
  const args = ["rev-list", "--objects", "--no-object-names", "--all", "HEAD"];
  return (await git(args, { cwd: repository })).split("\n").toSorted();
}

/** All refs with their values, HEAD and where it points included. */
export async function refsOf(repository: string): Promise<string> {
  const head = await git(["rev-parse", "--symbolic-full-name", "HEAD"], { cwd: repository });
  return `${head}\n${await git(["show-ref", "--head", "--dereference"], { cwd: repository })}`;
}

/** The ids of what git would send for the revisions. */
export async function objectsOf(repository: string, ...revisions: string[]): Promise<string[]> {
  const objects = await git(["rev-list", "--objects", "--no-object-names", ...revisions], {
    cwd: repository,
  });
  return objects.split("\n").toSorted();
}

/** Every object in the repository's packs and loose files, reachable or not. */
export async function heldObjects(repository: string): Promise<string[]> {
  const args = ["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"];
  return (await git(args, { cwd: repository })).split("\n").toSorted();
}

/** Dangling objects and a HEAD without its branch are no faults. */
export async function expectSilentFsck(repository: string): Promise<void> {
  const args = ["fsck", "--full", "--strict", "--no-dangling", "--no-progress"];
  const { exitCode, stdout, stderr } = await tryGit(args, { cwd: repository });
  const said = (Buffer.from(stdout).toString() + stderr).replace(/^notice: .*\n/gm, "");
  expect({ said, exitCode }).toEqual({ said: "", exitCode: 0 });
}
