/** Which branch HEAD names where that branch does not exist. Source: gitprotocol-v2(5), "ls-refs", unborn. */
import { concatBytes, DELIM_PKT, encodePktLine, FLUSH_PKT } from "../git/pktline.ts";
import type { Head } from "../git/ports.ts";
import {
  DEFAULT_GIT_HTTP_LIMITS,
  type GitRepositoryOptions,
  readAll,
  requestGit,
} from "./git-http-client.ts";
import { readWholeAnswer } from "./whole-answer.ts";

/**
 * @returns `undefined` if the primary does not say; `"born"` if HEAD's branch is there.
 * @throws {UpstreamError} @throws {NotFoundError}
 */
export async function readUnbornHead(options: GitRepositoryOptions): Promise<Head | "born" | undefined> {
  const { repositoryUrl, agent, limits = DEFAULT_GIT_HTTP_LIMITS } = options;
  const { body } = await requestGit(
    {
      method: "POST",
      url: `${repositoryUrl}/git-upload-pack`,
      headers: {
        "content-type": "application/x-git-upload-pack-request",
        "git-protocol": "version=2",
        "user-agent": agent,
      },
      body: concatBytes([
        encodePktLine("command=ls-refs\n"),
        encodePktLine(`agent=${agent}\n`),
        DELIM_PKT,
        ...["symrefs", "unborn", "ref-prefix HEAD"].map((line) => encodePktLine(`${line}\n`)),
        FLUSH_PKT,
      ]),
      answerType: "application/x-git-upload-pack-result",
    },
    options,
  );
  for (const line of readWholeAnswer(await readAll(body, limits.maxRefListBytes), "list")) {
    const target = /^unborn HEAD symref-target:([^ ]+)$/.exec(line)?.[1];
    if (target !== undefined) return { ref: target };
    if (/^[0-9a-f]{40} HEAD( |$)/.test(line)) return "born";
  }
  return undefined;
}
