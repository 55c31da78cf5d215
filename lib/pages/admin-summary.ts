/** What the store says of an administrator's workspace. */
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import { type RepositoryStatus, readRepositoryStatus } from "../mirror/mirror-status.ts";
import { failedRepositories } from "../mirror/repository-state.ts";
import { selects } from "../mirror/selection.ts";
import { type IndexedRepository, readWorkspaceIndex } from "../mirror/workspace-index.ts";
import type { AdministeredWorkspace, HiddenRepository } from "./admin-parts.ts";
import type { Visit } from "./admin-visit.ts";
import { inTurns } from "./visible-repositories.ts";

export const CONCURRENT_READS = 8;

export async function summaryOf(
  { context: { store } }: Visit,
  workspace: MirroredWorkspace,
): Promise<AdministeredWorkspace & { readonly failedUuids: readonly string[] }> {
  const { value: index } = await readWorkspaceIndex(store, workspace.workspace);
  const repositories = index?.repositories ?? {};
  const failedUuids: string[] = [];
  for await (const uuid of failedRepositories(store, workspace.workspace))
    if (repositories[uuid]?.held === "mirrored") failedUuids.push(uuid);
  return {
    workspace,
    mirroredCount: Object.values(repositories).filter(({ held }) => held === "mirrored").length,
    listedAt: index?.listedAt,
    ...hiddenOf(workspace, Object.values(repositories)),
    failedCount: failedUuids.length,
    failedUuids,
  };
}

function hiddenOf(
  workspace: MirroredWorkspace,
  repositories: readonly IndexedRepository[],
): Pick<AdministeredWorkspace, "noAccess" | "announced"> {
  const hidden = repositories
    .filter(
      ({ isGone, unlisted, slug, projectKey, isPrivate }) =>
        (isGone || unlisted !== undefined) &&
        selects(workspace, { workspace: workspace.workspace, slug, projectKey, isPrivate }),
    )
    .toSorted((a, b) => (a.slug < b.slug ? -1 : 1));
  return {
    noAccess: hidden.filter(({ isDeleted }) => !isDeleted).map(hiddenRepository),
    // What an administrator has confirmed goes with the next list.
    announced: hidden
      .filter(
        ({ isDeleted, isGone, removalAcceptedAt }) => isDeleted && !isGone && removalAcceptedAt === undefined,
      )
      .map(hiddenRepository),
  };
}

function hiddenRepository({ slug, unlisted, seenAt, isGone }: IndexedRepository): HiddenRepository {
  return { slug, since: unlisted?.since ?? seenAt, isServed: !isGone };
}

export async function failedStatuses(
  { context: { store } }: Visit,
  workspace: string,
  uuids: readonly string[],
): Promise<RepositoryStatus[]> {
  const { value: index } = await readWorkspaceIndex(store, workspace);
  const statuses: RepositoryStatus[] = [];
  await inTurns(uuids, CONCURRENT_READS, async (uuid) => {
    const entry = index?.repositories[uuid];
    if (entry === undefined) return;
    const { slug, projectKey, isPrivate } = entry;
    statuses.push(
      await readRepositoryStatus(store, { uuid, workspace, slug, projectKey, isPrivate, isSelected: true }),
    );
  });
  return statuses.sort((a, b) => (a.slug < b.slug ? -1 : 1));
}
