/** A git server of the test's own in place of the primary's, and what it answers. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";
import { basicAuthorization } from "../../lib/bitbucket/credential.ts";
import type { GitHttpLimits, GitRepositoryOptions } from "../../lib/bitbucket/git-http-client.ts";
import { type UpstreamGit, upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

export async function serve(handler: Handler): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    handler(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function upstreamAt(
  url: string,
  limits: Partial<GitHttpLimits> = {},
  signal?: AbortSignal,
): UpstreamGit {
  return upstreamGit(optionsAt(url, limits, signal));
}

export function optionsAt(
  url: string,
  limits: Partial<GitHttpLimits> = {},
  signal?: AbortSignal,
): GitRepositoryOptions {
  return {
    repositoryUrl: `${url}/acme/site.git`,
    authorization: basicAuthorization("x-token-auth", "secret"),
    agent: "nearside/test",
    fetch,
    limits: { answerTimeoutMs: 20_000, idleTimeoutMs: 20_000, maxRefListBytes: 100_000, ...limits },
    ...(signal === undefined ? {} : { signal }),
  };
}

export const pkt = (...lines: readonly string[]) =>
  Buffer.concat([...lines.map((line) => encodePktLine(`${line}\n`)), FLUSH_PKT]);

export const ID = "0000".repeat(10).replace(/.$/, "1");
export const OTHER_ID = `${"1230000".repeat(5)}00000`;
export const V2 = Buffer.concat([
  pkt("# service=git-upload-pack"),
  pkt("version 2", "agent=git/2", "ls-refs=unborn", "fetch=shallow"),
]);
export const V2_LIST = pkt(
  `${ID} HEAD symref-target:refs/heads/main`,
  `${ID} refs/heads/main`,
  `${OTHER_ID} refs/heads/zeros`,
  `${OTHER_ID} refs/tags/v1 peeled:${ID}`,
);
export const V0_LIST = Buffer.concat([
  pkt("# service=git-upload-pack"),
  pkt(
    `${ID} HEAD\0 side-band-64k symref=HEAD:refs/heads/main agent=git/1`,
    `${ID} refs/heads/main`,
    `${OTHER_ID} refs/heads/zeros`,
    `${OTHER_ID} refs/tags/v1`,
    `${ID} refs/tags/v1^{}`,
  ),
]);
export const REFS = [
  { name: "refs/heads/main", id: ID },
  { name: "refs/heads/zeros", id: OTHER_ID },
  { name: "refs/tags/v1", id: OTHER_ID, peeledId: ID },
];

/** Ends each answer by closing the connection, so that HTTP does not show which was cut. */
export function answerUnmeasured(response: ServerResponse, kind: string, body: Uint8Array): void {
  response.socket?.end(
    Buffer.concat([
      Buffer.from(`HTTP/1.0 200 OK\r\nContent-Type: application/x-git-upload-pack-${kind}\r\n\r\n`),
      body,
    ]),
  );
}

export function servingLists(advertisement: Uint8Array, list: Uint8Array): Handler {
  return ({ method }, response) =>
    method === "GET"
      ? answerUnmeasured(response, "advertisement", advertisement)
      : answerUnmeasured(response, "result", list);
}
