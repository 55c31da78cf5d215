/** Syncs a repository in a process of its own, in slices of a size that suits a test. Prints the outcome as JSON. */
import { upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { DEFAULT_SLICE_LIMITS } from "../../lib/sync/slice-size.ts";
import { DEFAULT_SYNC_LIMITS } from "../../lib/sync/sync-context.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";

const [folder = "", uuid = "", repositoryUrl = "", expectedBytes = "0"] = process.argv.slice(2);
const store = new FsBlobStore(folder);
const outcome = await syncRepository(uuid, {
  storage: { store, blocks: new BlockCache(store) },
  upstream: upstreamGit({ repositoryUrl, authorization: undefined, agent: "nearside/test", fetch }),
  log: SILENT_LOGGER,
  expectedBytes: Number(expectedBytes),
  limits: {
    ...DEFAULT_SYNC_LIMITS,
    sliceAboveBytes: 2 ** 23,
    slices: { ...DEFAULT_SLICE_LIMITS, minBytes: 2 ** 16 },
  },
});
console.log(JSON.stringify(outcome));
