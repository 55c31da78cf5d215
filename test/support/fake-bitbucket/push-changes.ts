/** What a push changed, in the words of a repo:push event: annotated tags peeled, at most five commits a change. */
import { git, tryGit } from "../git/run-git.ts";
import type { Json } from "./shapes.ts";

/** Object ids by full ref name. */
export type RefSnapshot = ReadonlyMap<string, string>;

const MAX_LISTED_COMMITS = 5;

export async function readRefSnapshot(folder: string): Promise<RefSnapshot> {
  const text = await git(["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/", "refs/tags/"], {
    cwd: folder,
  });
  return new Map(
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line): [string, string] => {
        const space = line.lastIndexOf(" ");
        return [line.slice(0, space), line.slice(space + 1)];
      }),
  );
}

/** @param repositoryApiUrl - For the links. */
export async function describeChanges(
  folder: string,
  before: RefSnapshot,
  after: RefSnapshot,
  repositoryApiUrl: string,
): Promise<Json[]> {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  const changed = names.filter((name) => before.get(name) !== after.get(name));
  return Promise.all(
    changed.map((name) => describeChange(folder, name, before.get(name), after.get(name), repositoryApiUrl)),
  );
}

async function describeChange(
  folder: string,
  refName: string,
  oldId: string | undefined,
  newId: string | undefined,
  repositoryApiUrl: string,
): Promise<Json> {
  const isBranch = refName.startsWith("refs/heads/");
  const commits =
    isBranch && newId !== undefined
      ? await readCommits(folder, [newId, ...(oldId === undefined ? [] : [`^${oldId}`])], repositoryApiUrl)
      : [];
  return {
    old: oldId === undefined ? null : await describeRef(folder, refName, oldId, repositoryApiUrl),
    new: newId === undefined ? null : await describeRef(folder, refName, newId, repositoryApiUrl),
    created: oldId === undefined,
    closed: newId === undefined,
    forced: oldId !== undefined && newId !== undefined && !(await isAncestor(folder, oldId, newId)),
    truncated: commits.length > MAX_LISTED_COMMITS,
    ...(isBranch && newId !== undefined ? { commits: commits.slice(0, MAX_LISTED_COMMITS) } : {}),
    links: { commits: { href: `${repositoryApiUrl}/commits` } },
  };
}

async function isAncestor(folder: string, oldId: string, newId: string): Promise<boolean> {
  const { exitCode } = await tryGit(["merge-base", "--is-ancestor", oldId, newId], { cwd: folder });
  return exitCode === 0;
}

async function describeRef(
  folder: string,
  refName: string,
  objectId: string,
  repositoryApiUrl: string,
): Promise<Json> {
  const [target = null] = await readCommits(folder, ["--max-count=1", objectId], repositoryApiUrl);
  if (refName.startsWith("refs/heads/")) {
    const name = refName.slice("refs/heads/".length);
    return {
      type: "branch",
      name,
      target,
      links: { self: { href: `${repositoryApiUrl}/refs/branches/${name}` } },
    };
  }
  const name = refName.slice("refs/tags/".length);
  return {
    type: "tag",
    name,
    target,
    ...(await describeTagObject(folder, objectId)),
    links: { self: { href: `${repositoryApiUrl}/refs/tags/${name}` } },
  };
}

async function describeTagObject(folder: string, objectId: string): Promise<Record<string, Json>> {
  if ((await git(["cat-file", "-t", objectId], { cwd: folder })) !== "tag") {
    return { message: null, date: null, tagger: null };
  }
  const text = await git(["cat-file", "tag", objectId], { cwd: folder });
  const [, raw = "", seconds = "0"] = /^tagger (.*) (\d+) [-+]\d{4}$/m.exec(text) ?? [];
  const message = `${text.slice(text.indexOf("\n\n") + 2)}\n`;
  return { message, date: bitbucketTime(Number(seconds)), tagger: { type: "author", raw } };
}

function bitbucketTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "+00:00");
}

/**
 * Up to one more commit than is listed, newest first.
 * @param revisions - Options and revisions of git-log(1); none if they name no commit.
 */
async function readCommits(
  folder: string,
  revisions: readonly string[],
  repositoryApiUrl: string,
): Promise<Json[]> {
  const { exitCode, stdout } = await tryGit(
    [
      "log",
      "-z",
      `--max-count=${MAX_LISTED_COMMITS + 1}`,
      "--format=%H%n%P%n%ct%n%an <%ae>%n%B",
      ...revisions,
      "--",
    ],
    { cwd: folder },
  );
  if (exitCode !== 0) return [];
  const records = Buffer.from(stdout).toString("utf8").split("\0");
  return records
    .filter((record) => record !== "")
    .map((record) => {
      const [hash = "", parents = "", seconds = "0", raw = "", ...message] = record.split("\n");
      return {
        type: "commit",
        hash,
        date: bitbucketTime(Number(seconds)),
        author: { type: "author", raw },
        message: message.join("\n"),
        links: { self: { href: `${repositoryApiUrl}/commit/${hash}` } },
        parents: parents
          .split(" ")
          .filter((parent) => parent !== "")
          .map((parent) => ({ type: "commit", hash: parent })),
      };
    });
}
