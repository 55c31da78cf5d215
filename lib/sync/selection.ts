/** Which repositories a mirror was told to mirror. */
import type { BitbucketRepository, BitbucketRestApi } from "../bitbucket/rest-api.ts";

export interface Selection {
  readonly workspace: readonly string[];
  /** `workspace/KEY`. */
  readonly project: readonly string[];
  /** `workspace/slug`. */
  readonly repository: readonly string[];
}

/** Asks the primary; a repository that is selected twice comes once. @throws {UpstreamError} @throws {NotFoundError} */
export async function* selectRepositories(
  api: BitbucketRestApi,
  { workspace, project, repository }: Selection,
): AsyncGenerator<BitbucketRepository, void, undefined> {
  const seen = new Set<string>();
  const lists: AsyncIterable<BitbucketRepository>[] = [
    single(api, repository),
    ...project.map((name) => {
      const [owner = "", projectKey = ""] = name.split("/");
      return api.repositories(owner, { projectKey });
    }),
    ...workspace.map((name) => api.repositories(name)),
  ];
  for (const list of lists) {
    for await (const found of list) {
      if (seen.has(found.uuid)) continue;
      seen.add(found.uuid);
      yield found;
    }
  }
}

async function* single(
  api: BitbucketRestApi,
  names: readonly string[],
): AsyncGenerator<BitbucketRepository, void, undefined> {
  for (const name of names) {
    const [owner = "", slug = ""] = name.split("/");
    yield await api.repository(owner, slug);
  }
}
