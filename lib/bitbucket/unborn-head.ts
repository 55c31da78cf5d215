/** Which branch HEAD names where that branch does not exist. Source: gitprotocol-v2(5), "ls-refs", unborn. */

import { concatBytes, DELIM_PKT, encodePktLine, FLUSH_PKT, pktText } from "../git/pktline.ts";
import { PktLineReader } from "../git/pktline-reader.ts";
import type { Head } from "../git/ports.ts";
import { type GitRepositoryOptions, requestGit } from "./git-http-client.ts";

/** @returns `undefined` if the primary does not say. @throws {UpstreamError} @throws {NotFoundError} */
export async function readUnbornHead(options: GitRepositoryOptions): Promise<Head | undefined> {
  const { repositoryUrl, agent } = options;
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
    },
    options,
  );
  const reader = new PktLineReader(body);
  try {
    for (let line = await reader.next(); line.kind === "data"; line = await reader.next()) {
      const target = /^unborn HEAD symref-target:(\S+)/.exec(pktText(line.payload))?.[1];
      if (target !== undefined) return { ref: target };
    }
    return undefined;
  } finally {
    await reader.close();
  }
}
