/** A primary without a network: git's upload-pack on a folder, one process for each fetch. */
import type { UpstreamGit } from "../../../lib/bitbucket/upstream-git.ts";
import { encodeFetchRequestV2, readFetchResponse } from "../../../lib/git/fetch-pack.ts";
import type { RefList } from "../../../lib/git/ports.ts";
import { askGit } from "./git-server.ts";
import type { GitShell } from "./git-shell.ts";

/** @param refList - What the primary says its refs are. */
export function processUpstream(shell: GitShell, repository: string, refList: () => RefList): UpstreamGit {
  return {
    listRefs: async () => ({ protocol: 2, ...refList() }),
    async *fetchPack({ wants, haves }) {
      const request = encodeFetchRequestV2({ wants, haves, agent: "git/nearside-test" });
      const { stdout } = await askGit(shell, repository, 2, request);
      yield* readFetchResponse(once(stdout), { protocol: 2 });
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
