/** `acme/unmirrored` of a guarded mirror: at the primary, selected, and not mirrored yet. */
import { basicAuthorization } from "../../lib/bitbucket/credential.ts";
import { upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { parseRepositoryUuid } from "../../lib/repo/layout.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";
import type { GuardedMirror } from "./guarded-mirror.ts";
import { nameRepository, reserve } from "./named-repository.ts";
import { TOKENS } from "./test-credentials.ts";

export const UNMIRRORED_UUID = parseRepositoryUuid("01234567-89ab-cdef-0123-456789abcdef");

/** Also after it was synchronized. */
export async function reserveUnmirrored(
  { store }: GuardedMirror,
  flags: { isPublic?: boolean } = {},
): Promise<void> {
  for (const prefix of [`repos/${UNMIRRORED_UUID}/`, "names/acme/unmirrored"])
    for await (const { key } of store.list(prefix)) await store.delete(key);
  await reserve(store, "unmirrored", UNMIRRORED_UUID, flags);
}

/** Its first sync. */
export async function syncUnmirrored({ store, fake }: GuardedMirror): Promise<void> {
  const repositoryUrl = `${fake.gitUrl}/acme/unmirrored.git`;
  const authorization = basicAuthorization("x-bitbucket-api-token-auth", TOKENS.rita);
  await syncRepository(UNMIRRORED_UUID, {
    storage: { store, blocks: new BlockCache(store) },
    upstream: upstreamGit({ repositoryUrl, authorization, agent: "nearside/test", fetch }),
    log: SILENT_LOGGER,
  });
  const record = { workspace: "acme", slug: "unmirrored", projectKey: "CORE", isPrivate: true };
  await nameRepository(store, UNMIRRORED_UUID, record);
}
