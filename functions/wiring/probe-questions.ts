/** What the mirror asks Bitbucket to find out whether it is unavailable: its own accounts, two mirrored repositories by chance. */
import type { ReadQuestion } from "../../lib/auth/ports.ts";
import { type BitbucketAccount, gitAuthorization } from "../../lib/bitbucket/credential.ts";
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
  const questionsOf = async (workspace: MirroredWorkspace): Promise<ReadQuestion[]> => {
    const { value } = await readWorkspaceIndex(store, workspace.workspace);
    const mirrored = Object.values(value?.repositories ?? {}).filter(({ held }) => held === "mirrored");
    if (mirrored.length === 0) return [];
    const authorization = gitAuthorization(await accountOf(workspace));
    return takeByChance(mirrored, QUESTIONS).map(({ slug }) => ({
      authorization,
      repositoryPath: `${workspace.workspace}/${slug}`.toLowerCase(),
    }));
  };
  return async () => {
    const { workspaces } = await readConfig();
    const served = workspaces.filter(({ disabled, removedAt }) => !disabled && removedAt === undefined);
    // Of different workspaces, if there are: one of them, or its account, may be in trouble alone.
    const found: ReadQuestion[][] = [];
    for (const workspace of takeByChance(served, served.length)) {
      const questions = await questionsOf(workspace);
      if (questions.length > 0) found.push(questions);
      if (found.length === QUESTIONS) break;
    }
    const first = found.map((questions) => questions.slice(0, 1));
    const others = found.map((questions) => questions.slice(1));
    return [...first, ...others].flat().slice(0, QUESTIONS);
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
