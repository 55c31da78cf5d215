/** git's own answer to a request's bytes. */
import { type GitResult, tryGit } from "../git/run-git.ts";

export function askGit(repository: string, protocol: 0 | 1 | 2, request: Uint8Array): Promise<GitResult> {
  return tryGit(["upload-pack", "--stateless-rpc", repository], {
    input: request,
    env: protocol === 0 ? {} : { GIT_PROTOCOL: `version=${protocol}` },
  });
}
