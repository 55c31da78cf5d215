/** Asks REST for a workspace's repositories: only what changed lately, or everything that the selection could name. */
import type { BitbucketRepository, BitbucketRestApi } from "../bitbucket/rest-api.ts";
import { NotFoundError } from "../errors.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";

/** Bitbucket's clocks are many: what was updated just before the cursor may be told only now. */
const CURSOR_OVERLAP_MS = 60_000;

/** Above this many names, a list of the whole workspace is cheaper in almost all cases. */
const MAX_SINGLE_REQUESTS = 20;

/** Those updated since, the latest first. */
export function listUpdated(
  api: BitbucketRestApi,
  { workspace }: MirroredWorkspace,
  updatedCursor: string,
): AsyncIterable<BitbucketRepository> {
  const updatedAfter = new Date(Date.parse(updatedCursor) - CURSOR_OVERLAP_MS).toISOString();
  return api.repositories(workspace, { updatedAfter });
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
): AsyncGenerator<BitbucketRepository, void, undefined> {
  const { workspace, projects, include } = one;
  const isNamed = include.every((pattern) => /^[A-Za-z0-9._-]+$/.test(pattern));
  if (projects === "all" || !isNamed || projects.length + include.length > MAX_SINGLE_REQUESTS) {
    yield* api.repositories(workspace);
    return;
  }
  if (updatedCursor !== undefined) yield* listUpdated(api, one, updatedCursor);
  for (const slug of include) {
    const repository = await findOne(api, workspace, slug);
    if (repository !== undefined) yield repository;
  }
  for (const projectKey of projects) yield* api.repositories(workspace, { projectKey });
}

/** One that is not there must not hide the others. */
async function findOne(
  api: BitbucketRestApi,
  workspace: string,
  slug: string,
): Promise<BitbucketRepository | undefined> {
  try {
    return await api.repository(workspace, slug);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}
