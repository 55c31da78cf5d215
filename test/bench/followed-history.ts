/**
 * The life of a repository that a mirror follows push by push: the default branch goes forward by one commit of its own
 * line of history (and what that merges) at a time, and tags appear with the commits that they point to.
 */
import { isObjectId, type ObjectId } from "../../lib/git/object-id.ts";
import type { Ref } from "../../lib/git/ports.ts";
import type { RepositoryParts } from "./bench-repository.ts";
import type { Workspace } from "./workspace.ts";

export interface FollowedHistory {
  /** Full name. */
  readonly branch: string;
  /** Of the branch's own line, newest first. A state is named by its place here: how many pushes behind it is. */
  readonly commitIds: readonly ObjectId[];
  readonly tags: readonly FollowedTag[];
}

interface FollowedTag {
  readonly ref: Ref;
  /** The largest number of pushes behind at which it is there. */
  readonly since: number;
}

export function refsBehind({ branch, commitIds, tags }: FollowedHistory, pushes: number): Ref[] {
  const id = commitIds[pushes];
  if (id === undefined) throw new RangeError(`the history has no ${pushes} pushes`);
  return [{ name: branch, id }, ...tags.filter(({ since }) => since >= pushes).map(({ ref }) => ref)];
}

/** @throws {Error} HEAD is no branch, or its line of history is shorter than that. */
export async function readFollowedHistory(
  workspace: Workspace,
  repository: string,
  { head, refs }: RepositoryParts,
  pushes: number,
): Promise<FollowedHistory> {
  if (!("ref" in head)) throw new Error("HEAD is no branch that could be followed");
  const cwd = repository;
  const line = ["rev-list", "--first-parent", `--max-count=${pushes + 1}`, head.ref];
  const commitIds = (await workspace.git(line, { cwd })).split("\n").filter(isObjectId);
  const oldest = commitIds[pushes];
  if (oldest === undefined)
    throw new Error(`the rows behind-… need ${pushes + 1} commits on the first-parent line of ${head.ref}`);
  const newer = await workspace.git(["rev-list", "--parents", `${oldest}..${head.ref}`], { cwd });
  const since = firstPushes(commitIds, newer.split("\n"));
  const merged = ["for-each-ref", `--merged=${oldest}`, "--format=%(refname)", "refs/tags"];
  const oldNames = new Set((await workspace.git(merged, { cwd })).split("\n"));
  const tags = refs
    .filter(({ name }) => name.startsWith("refs/tags/"))
    .map((ref) => ({
      ref,
      since: oldNames.has(ref.name) ? pushes : (since.get(ref.peeledId ?? ref.id) ?? -1),
    }));
  return { branch: head.ref, commitIds, tags: tags.filter((tag) => tag.since >= 0) };
}

/**
 * @param commitLines - Ids of the commits that pushes brought, each with its parents.
 * @returns By id: how many pushes behind the one is that brought the commit.
 */
function firstPushes(
  commitIds: readonly ObjectId[],
  commitLines: readonly string[],
): ReadonlyMap<string, number> {
  const parents = new Map(commitLines.map((line) => [line.slice(0, 40), line.split(" ").slice(1)]));
  const since = new Map<string, number>();
  for (let pushes = commitIds.length - 2; pushes >= 0; pushes--) {
    const queue: string[] = commitIds.slice(pushes, pushes + 1);
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      if (since.has(id) || !parents.has(id)) continue;
      since.set(id, pushes);
      queue.push(...(parents.get(id) ?? []));
    }
  }
  return since;
}
