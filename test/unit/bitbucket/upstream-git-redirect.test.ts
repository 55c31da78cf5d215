/** A renamed repository: the primary redirects where the refs are listed. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { basicAuthorization } from "../../../lib/bitbucket/credential.ts";
import { upstreamGit } from "../../../lib/bitbucket/upstream-git.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { collect } from "../../support/byte-chunks.ts";

const ID = "12345678".repeat(5);
const pkt = (...lines: readonly string[]) =>
  Buffer.concat([...lines.map((line) => encodePktLine(`${line}\n`)), FLUSH_PKT]);

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

interface Seen {
  readonly line: string;
  readonly authorization: string | undefined;
}

/** Serves git at /acme/new.git, and redirects from elsewhere to there on `target`, by default a path. */
async function startHost(
  target: (self: string) => string = () => "",
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const { method, url = "", headers } = request;
    seen.push({ line: `${method} ${url}`, authorization: headers.authorization });
    request.resume();
    if (!url.startsWith("/acme/new.git/")) {
      const location = `${target(`http://${headers.host}`)}/acme/new.git/info/refs?service=git-upload-pack`;
      response.writeHead(301, { location }).end();
    } else if (method === "GET") {
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
      response.end(Buffer.concat([pkt("# service=git-upload-pack"), pkt("version 2", "ls-refs", "fetch")]));
    } else {
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" });
      response.end(pkt(`${ID} HEAD symref-target:refs/heads/main`, `${ID} refs/heads/main`));
    }
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

function upstreamAt(url: string) {
  return upstreamGit({
    repositoryUrl: `${url}/acme/old.git`,
    authorization: basicAuthorization("x-token-auth", "secret"),
    agent: "nearside/test",
    fetch,
  });
}

const authorization = `Basic ${btoa("x-token-auth:secret")}`;
const WANTS = { protocol: 2 as const, wants: [parseObjectId(ID)], haves: [] };

test("a redirect on the same host is followed and remembered", async () => {
  const host = await startHost();
  const upstream = upstreamAt(host.url);
  expect((await upstream.listRefs()).refs).toHaveLength(1);
  await collect(upstream.fetchPack(WANTS)).catch(() => undefined);
  expect((await upstream.listRefs()).refs).toHaveLength(1);
  expect(host.seen).toEqual(
    [
      "GET /acme/old.git/info/refs?service=git-upload-pack",
      "GET /acme/new.git/info/refs?service=git-upload-pack",
      "POST /acme/new.git/git-upload-pack",
      "POST /acme/new.git/git-upload-pack",
      "GET /acme/new.git/info/refs?service=git-upload-pack",
      "POST /acme/new.git/git-upload-pack",
    ].map((line) => ({ line, authorization })),
  );
});

test("a redirect to an address with a credential is not followed", async () => {
  const host = await startHost((self) => self.replace("//", "//eve:planted@"));
  await expect(upstreamAt(host.url).listRefs()).rejects.toMatchObject({ code: "UPSTREAM" });
  const asked = { line: "GET /acme/old.git/info/refs?service=git-upload-pack", authorization };
  expect(host.seen).toEqual([asked, asked]);
});

test("a redirect to another host never takes the credential there", async () => {
  const other = await startHost();
  const host = await startHost(() => other.url);
  const upstream = upstreamAt(host.url);
  // The commands go to where the credential belongs, and there a redirect of a POST is refused.
  await expect(upstream.listRefs()).rejects.toMatchObject({ code: "UPSTREAM" });
  await expect(collect(upstream.fetchPack(WANTS))).rejects.toMatchObject({ code: "UPSTREAM" });
  expect(other.seen.length).toBeGreaterThan(0);
  expect(other.seen.filter((seen) => seen.authorization !== undefined)).toEqual([]);
});
