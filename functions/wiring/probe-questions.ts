/** What the mirror asks Bitbucket to find out whether it is away: its own account, two mirrored repositories by chance. */
import type { ReadQuestion } from "../../lib/auth/ports.ts";
import { authorizationHeader, type BitbucketAccount, gitCredential } from "../../lib/bitbucket/credential.ts";
import type { MirrorConfig, MirroredWorkspace } from "../../lib/mirror/mirror-config.ts";
import { readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import type { WholeBlobs } from "../../lib/store/blob-store.ts";

const QUESTIONS = 2;

export interface ProbeQuestionsOptions {
  readonly store: WholeBlobs;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly accountOf: (workspace: MirroredWorkspace) => Promise<BitbucketAccount>;
}

export function probeQuestions({
  store,
  readConfig,
  accountOf,
}: ProbeQuestionsOptions): () => Promise<readonly ReadQuestion[]> {
  return async () => {
    const { workspaces } = await readConfig();
    const served = workspaces.filter(({ disabled, removedAt }) => !disabled && removedAt === undefined);
    const [workspace] = takeByChance(served, 1);
    if (workspace === undefined) return [];
    const { value } = await readWorkspaceIndex(store, workspace.workspace);
    const mirrored = Object.values(value?.repositories ?? {}).filter(({ held }) => held === "mirrored");
    const account = await accountOf(workspace);
    const authorization = authorizationHeader(gitCredential(account))["Authorization"];
    return takeByChance(mirrored, QUESTIONS).map(({ slug }) => ({
      authorization,
      repositoryPath: `${workspace.workspace}/${slug}`.toLowerCase(),
    }));
  };
}

function takeByChance<Item>(items: readonly Item[], count: number): Item[] {
  const left = [...items];
  const taken: Item[] = [];
  while (taken.length < count && left.length > 0) {
    taken.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  }
  return taken;
}
