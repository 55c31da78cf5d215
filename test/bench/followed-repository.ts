/** What the rows `behind-…` need: a history to follow, its end as git serves it, and clients that have stayed behind. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatRefSnapshot } from "../../lib/repo/refs.ts";
import { type BenchRepository, prepareRepository } from "./bench-repository.ts";
import type { FollowOrder } from "./follow-child.ts";
import { type FollowedHistory, readFollowedHistory, refsBehind } from "./followed-history.ts";
import { programDigest } from "./ingested-store.ts";
import { measureProgram } from "./measured-command.ts";
import type { HeldByClient } from "./verify-answers.ts";
import type { Workspace } from "./workspace.ts";

/** How many pushes behind the clients are: the rows' numbers, and nothing. Oldest first. */
const CLIENT_STATES = [1000, 100, 10, 1, 0] as const;
const OLDEST_STATE = CLIENT_STATES[0];

export interface FollowedRepository {
  /** At its newest state, with one branch and the tags on it. */
  readonly repository: BenchRepository;
  readonly history: FollowedHistory;
  /** Of each state, the objects that the one before has not. */
  readonly objectFolders: ReadonlyMap<number, string>;
}

export async function prepareFollowed(
  workspace: Workspace,
  whole: BenchRepository,
): Promise<FollowedRepository> {
  const objectsFolder = join(whole.folder, "objects");
  const parts = { objectsFolder, head: whole.head, refs: whole.refs };
  const history = await readFollowedHistory(workspace, whole.folder, parts, OLDEST_STATE);
  const repository = await prepareRepository(workspace, "followed", {
    ...parts,
    head: { ref: history.branch },
    refs: refsBehind(history, 0),
  });
  const folder = await workspace.prepared("clients", repository.recipe, async (made) => {
    workspace.progress("packing what clients have that stayed behind");
    const held: string[] = [];
    for (const pushes of CLIENT_STATES) {
      const tips = refsBehind(history, pushes).map(({ id }) => id);
      const packFolder = join(made, String(pushes), "pack");
      await mkdir(packFolder, { recursive: true });
      const args = ["pack-objects", "--quiet", "--revs", "--delta-base-offset", join(packFolder, "pack")];
      await workspace.git(args, { cwd: whole.folder, input: `${[...tips, ...held].join("\n")}\n` });
      held.push(...tips.map((id) => `^${id}`));
    }
  });
  const objectFolders = new Map(CLIENT_STATES.map((pushes) => [pushes, join(folder, String(pushes))]));
  return { repository, history, objectFolders };
}

/**
 * @param isEachPush - Whether the mirror has seen every push, or only those at which a client has stayed behind.
 * @returns The folder of the mirror's store.
 */
export async function prepareFollowedStore(
  workspace: Workspace,
  { repository, history, objectFolders }: FollowedRepository,
  isEachPush: boolean,
): Promise<string> {
  const states = isEachPush
    ? Array.from({ length: OLDEST_STATE + 1 }, (_, i) => OLDEST_STATE - i)
    : CLIENT_STATES;
  const program = await programDigest(workspace, "follow-child.ts");
  const recipe = `${FOLLOW_FORMAT} ${program} ${states.length} ${repository.recipe}`;
  const folder = await workspace.prepared("followed-store", recipe, async (made) => {
    workspace.progress(`filling the mirror's store: ${states.length} syncs`);
    const order: FollowOrder = {
      // What has just been pushed no bitmap covers.
      primary: repository.folderWithoutBitmaps,
      history,
      states,
      firstPackFile: await packFileIn(objectFolders.get(OLDEST_STATE)),
      storeFolder: join(made, "store"),
      temporaryFolder: join(made, "temporary"),
      uuid: randomUUID(),
    };
    const orderFile = join(await workspace.newFolder("follow"), "order.json");
    await writeFile(orderFile, JSON.stringify(order));
    await mkdir(order.storeFolder);
    await measureProgram(workspace, "follow-child.ts", [orderFile]);
  });
  return join(folder, "store");
}

/** To be counted up when the same program is given other orders. */
const FOLLOW_FORMAT = 2;

async function packFileIn(objectFolder: string | undefined): Promise<string> {
  const packFolder = join(objectFolder ?? "", "pack");
  const name = (await readdir(packFolder)).find((file) => file.endsWith(".pack"));
  if (name === undefined) throw new Error(`${packFolder} has no pack`);
  return join(packFolder, name);
}

/** What a client has that stayed behind. */
export function heldBehind({ history, objectFolders }: FollowedRepository, pushes: number): HeldByClient {
  const held = [...objectFolders].filter(([state]) => state >= pushes);
  return {
    objectFolders: held.map(([, folder]) => folder),
    tips: refsBehind(history, pushes).map(({ id }) => id),
  };
}

/** @returns The folder of a clone as it was then, with one remote branch and its tags. Its objects are borrowed. */
export async function makeClientBehind(
  workspace: Workspace,
  followed: FollowedRepository,
  pushes: number,
): Promise<string> {
  const folder = join(await workspace.newFolder("client"), "client.git");
  await workspace.git(["init", "--quiet", "--bare", folder]);
  const { objectFolders } = heldBehind(followed, pushes);
  await writeFile(join(folder, "objects/info/alternates"), `${objectFolders.join("\n")}\n`);
  const { branch } = followed.history;
  const refs = refsBehind(followed.history, pushes).flatMap((ref) =>
    ref.name === branch ? [ref, { ...ref, name: remoteNameOf(branch) }] : [ref],
  );
  await writeFile(join(folder, "packed-refs"), formatRefSnapshot(refs).bytes);
  await writeFile(join(folder, "HEAD"), `ref: ${branch}\n`);
  return folder;
}

function remoteNameOf(branch: string): string {
  return branch.replace(/^refs\/heads\//, "refs/remotes/origin/");
}

/** Arguments of git for a fetch as a clone makes it, from this URL. */
export function fetchArguments(url: string): string[] {
  const remote = [
    "-c",
    `remote.origin.url=${url}`,
    "-c",
    "remote.origin.fetch=+refs/heads/*:refs/remotes/origin/*",
  ];
  return [...remote, "fetch", "--quiet", "origin"];
}
