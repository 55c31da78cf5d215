/** git's own answer to a request's bytes. */
import type { GitResult } from "../git/run-git.ts";
import type { GitShell } from "./git-shell.ts";

export function askGit(
  shell: GitShell,
  repository: string,
  protocol: 0 | 1 | 2,
  request: Uint8Array,
): Promise<GitResult> {
  return shell.try({
    args: ["upload-pack", "--stateless-rpc", "."],
    cwd: repository,
    input: request,
    env: protocol === 0 ? {} : { GIT_PROTOCOL: `version=${protocol}` },
  });
}
