/** Asks REST for a workspace's repositories: only what changed lately, or everything that the selection could name. */
import type { BitbucketRepository, BitbucketRestApi } from "../bitbucket/rest-api.ts";
import type { OnSkipped } from "../bitbucket/rest-pages.ts";
import { NotFoundError, UnexpectedAnswerError } from "../errors.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";

/** Bitbucket's clocks differ: an update just before the cursor may appear only now. */
const CURSOR_OVERLAP_MS = 60_000;

/** Above this many names, a list of the whole workspace is cheaper in almost all cases. */
const MAX_SINGLE_REQUESTS = 20;

/** Those updated since, the latest first. */
export function listUpdated(
  api: BitbucketRestApi,
  { workspace }: MirroredWorkspace,
  updatedCursor: string,
  onSkipped: OnSkipped,
): AsyncIterable<BitbucketRepository> {
  const updatedAfter = new Date(Date.parse(updatedCursor) - CURSOR_OVERLAP_MS).toISOString();
  return api.repositories(workspace, { updatedAfter, onSkipped });
}

/**
 * All that could be selected, and what was updated since in the rest of the workspace: it may have taken a name there. A
 * repository may come twice.
 * @throws {NotFoundError} The workspace or a project is not there, or the account does not see it.
 */
export async function* listEverything(
  api: BitbucketRestApi,
  one: MirroredWorkspace,
  updatedCursor: string | undefined,
  onSkipped: OnSkipped,
): AsyncGenerator<BitbucketRepository, void, undefined> {
  const { workspace } = one;
  const named = namedBy(one);
  if (named === undefined) {
    yield* api.repositories(workspace, { onSkipped });
    return;
  }
  const { projects, include } = named;
  if (updatedCursor !== undefined) yield* listUpdated(api, one, updatedCursor, onSkipped);
  for (const slug of include) {
    const repository = await findOne(api, workspace, slug, onSkipped);
    if (repository !== undefined) yield repository;
  }
  for (const projectKey of projects) yield* api.repositories(workspace, { projectKey, onSkipped });
}

/** @returns The same for all selections and accounts for which `listEverything` asks for the same. */
export function listScope(one: MirroredWorkspace): string {
  const { projects, include } = namedBy(one) ?? {};
  return JSON.stringify([
    one.credential ?? null,
    projects?.toSorted() ?? "all",
    include?.toSorted() ?? "all",
  ]);
}

/** @returns `undefined`: the whole workspace is listed. */
function namedBy({
  projects,
  include,
}: MirroredWorkspace):
  | { readonly projects: readonly string[]; readonly include: readonly string[] }
  | undefined {
  const isNamed = include.every((pattern) => /^[A-Za-z0-9._-]+$/.test(pattern));
  if (projects === "all" || !isNamed || projects.length + include.length > MAX_SINGLE_REQUESTS)
    return undefined;
  return { projects, include };
}

/** One that is not there must not hide the others. */
async function findOne(
  api: BitbucketRestApi,
  workspace: string,
  slug: string,
  onSkipped: OnSkipped,
): Promise<BitbucketRepository | undefined> {
  try {
    return await api.repository(workspace, slug);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    if (!(error instanceof UnexpectedAnswerError)) throw error;
    onSkipped({ name: `${workspace}/${slug}`, problem: error.message });
    return undefined;
  }
}
