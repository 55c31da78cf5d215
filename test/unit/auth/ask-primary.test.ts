import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { askPrimaryByGit } from "../../../lib/auth/ask-primary.ts";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

interface Seen {
  readonly url: string | undefined;
  readonly authorization: string | undefined;
}

interface Primary {
  readonly url: string;
  readonly seen: Seen[];
}

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Primary> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    seen.push({ url: request.url, authorization: request.headers.authorization });
    answer(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const LIMITS = { timeoutMs: 5_000, maxRedirects: 5, retryPauseMs: 1, syncPausesMs: [1, 1] };
const OPTIONS = { fetch, agent: "nearside/1", showsServed: async () => false };
const ONCE = { retriesUnauthorized: async () => false, signal: new AbortController().signal };
const SECRET = "a-very-secret-token";
const authorization = `Basic ${btoa(`ada:${SECRET}`)}`;

function ask(gitUrl: string, limits = LIMITS, retriesUnauthorized = false) {
  const askPrimary = askPrimaryByGit({ ...OPTIONS, gitUrl, limits });
  return askPrimary(
    { authorization, repositoryPath: "acme/site" },
    { ...ONCE, retriesUnauthorized: async () => retriesUnauthorized },
  );
}

const ADVERTISEMENT = { "content-type": "application/x-git-upload-pack-advertisement" };
const yes = (_: IncomingMessage, response: ServerResponse) =>
  void response.writeHead(200, ADVERTISEMENT).end("000eversion 2\n0000");

test("the credential goes to git's own first request, as it came", async () => {
  const primary = await serve(yes);
  expect(await ask(primary.url)).toEqual({ kind: "allowed", finalPath: "acme/site" });
  const url = "/acme/site.git/info/refs?service=git-upload-pack";
  expect(primary.seen).toEqual([{ url, authorization }]);
});

test("a uuid is sent as Bitbucket writes it in addresses", async () => {
  const primary = await serve(yes);
  const askPrimary = askPrimaryByGit({ ...OPTIONS, gitUrl: `${primary.url}/below` });
  await askPrimary({ authorization: undefined, repositoryPath: "acme/{0a1b2c3d}" }, ONCE);
  expect(primary.seen).toEqual([
    { url: "/below/acme/%7B0a1b2c3d%7D.git/info/refs?service=git-upload-pack", authorization: undefined },
  ]);
});

test("a redirect on the same host is followed with the credential, and says where the repository is", async () => {
  const primary = await serve((request, response) => {
    if (request.url?.startsWith("/acme/site.git")) {
      response.writeHead(301, { location: "/Acme/New-Site.git/info/refs?service=git-upload-pack" }).end();
    } else {
      yes(request, response);
    }
  });
  expect(await ask(primary.url)).toEqual({ kind: "allowed", finalPath: "acme/new-site" });
  expect(primary.seen.map((request) => request.authorization)).toEqual([authorization, authorization]);
});

test("a redirect brings no credential of its own", async () => {
  const primary = await serve((request, response) => {
    if (request.url?.startsWith("/acme/new-site.git")) return yes(request, response);
    const location = `http://eve:planted@${request.headers.host}/acme/new-site.git/info/refs?service=git-upload-pack`;
    response.writeHead(301, { location }).end();
  });
  expect(await ask(primary.url)).toEqual({ kind: "allowed", finalPath: "acme/new-site" });
  expect(primary.seen.map((request) => request.authorization)).toEqual([authorization, authorization]);
});

test("a redirect to another host, or to what is no repository, is a no, and nothing is asked there", async () => {
  const other = await serve(yes);
  const locations = [
    `${other.url.replace("//", "//ada:planted@")}/acme/site.git/info/refs?service=git-upload-pack`,
    "/account/signin?next=/acme/site.git/info/refs",
  ];
  for (const location of locations) {
    const primary = await serve((_, response) => void response.writeHead(302, { location }).end());
    expect(await ask(primary.url)).toEqual({ kind: "refused", status: 302 });
    expect(primary.seen).toHaveLength(1);
  }
  expect(other.seen).toEqual([]);
});

test.each([
  ["an error of git's", "0034ERR You may not have access to this repository.\n"],
  ["nothing", ""],
  ["another service", "001f# service=git-receive-pack\n0000"],
  ["what only begins so", "0010version 2000"],
  ["no pkt-line", "version 2\n"],
])("200 with %s decides nothing", async (_, body) => {
  const primary = await serve((__, response) => void response.writeHead(200, ADVERTISEMENT).end(body));
  expect(await ask(primary.url)).toMatchObject({ kind: "undecided", reason: "the answer is not git's" });
});

test("version 0 is a yes as well, however it is cut up and however much follows", async () => {
  const primary = await serve((_, response) => {
    response.writeHead(200, ADVERTISEMENT).write("001e# ser");
    setImmediate(() => response.end(`vice=git-upload-pack\n0000${"x".repeat(1_000_000)}`));
  });
  expect(await ask(primary.url)).toMatchObject({ kind: "allowed" });
});

test.each([
  ["a redirect in a circle", 302, { location: "/again/site.git/info/refs" }, "too many redirects"],
  ["a page to log in", 200, { "content-type": "text/html" }, "the answer is not git's"],
  ["408", 408, {}, "the primary answered 408"],
  ["500", 500, {}, "the primary answered 500"],
])("%s decides nothing", async (_, status, headers, reason) => {
  const primary = await serve((__, response) => void response.writeHead(status, headers).end("sorry"));
  expect(await ask(primary.url)).toMatchObject({ kind: "undecided", cause: "unreachable", reason });
});

test.each<[string, (response: ServerResponse) => void]>([
  ["500", (response) => void response.writeHead(500).end()],
  ["503", (response) => void response.writeHead(503).end()],
  ["a reset connection", (response) => void response.socket?.destroy()],
])("one %s is repeated once, at once, on another connection", async (_, fail) => {
  const sockets = new Set<unknown>();
  let left = 1;
  const primary = await serve((request, response) => {
    sockets.add(request.socket);
    return left-- > 0 ? fail(response) : yes(request, response);
  });
  expect(await ask(primary.url)).toMatchObject({ kind: "allowed" });
  expect([primary.seen.length, sockets.size]).toEqual([2, 2]);
  left = 9;
  expect(await ask(primary.url)).toMatchObject({ kind: "undecided", cause: "unreachable" });
  expect(primary.seen).toHaveLength(4);
});

test("with Retry-After it is not repeated", async () => {
  const primary = await serve((_, response) => void response.writeHead(503, { "retry-after": "7" }).end());
  const reason = "the primary answered 503";
  const unreachable = { kind: "undecided", cause: "unreachable", reason, status: 503, retryAfterSeconds: 7 };
  expect(await ask(primary.url)).toEqual(unreachable);
  expect(primary.seen).toHaveLength(1);
});

test("a redirect to what is no address, silence and no connection decide nothing", async () => {
  const unreachable = { kind: "undecided", cause: "unreachable" };
  const odd = await serve((_, response) => void response.writeHead(302, { location: "http://" }).end());
  expect(await ask(odd.url)).toMatchObject(unreachable);
  const silent = await serve(() => {});
  expect(await ask(silent.url, { ...LIMITS, timeoutMs: 50 })).toMatchObject(unreachable);
  // The wait would double.
  expect(silent.seen).toHaveLength(1);
  const closed = await serve(yes);
  await new Promise((resolve) => servers.pop()?.close(resolve));
  expect(await ask(closed.url)).toMatchObject({
    ...unreachable,
    reason: expect.stringContaining("ECONNREFUSED"),
  });
});

test("429 says when to ask again", async () => {
  const primary = await serve((_, response) => void response.writeHead(429, { "retry-after": "17" }).end());
  expect(await ask(primary.url)).toMatchObject({ cause: "rate-limited", retryAfterSeconds: 17 });
});

test("one 401 is asked about again where that is wished, two are passed on; other refusals are asked about once", async () => {
  let count = 0;
  const odd = await serve((request, response) =>
    count++ === 0 ? void response.writeHead(401).end() : yes(request, response),
  );
  expect(await ask(odd.url, LIMITS, true)).toMatchObject({ kind: "allowed" });
  const firm = await serve((_, response) => void response.writeHead(401).end());
  expect(await ask(firm.url, LIMITS, true)).toEqual({ kind: "refused", status: 401 });
  expect(firm.seen).toHaveLength(2);
  expect(await ask(firm.url, LIMITS, false)).toEqual({ kind: "refused", status: 401 });
  expect(firm.seen).toHaveLength(3);
  const absent = await serve((_, response) => void response.writeHead(404).end());
  await ask(absent.url, LIMITS, true);
  expect(absent.seen).toHaveLength(1);
});

test("a 401 after which the primary falls silent is still a 401", async () => {
  let count = 0;
  const primary = await serve((_, response) =>
    count++ === 0 ? void response.writeHead(401).end() : void response.writeHead(503).end(),
  );
  expect(await ask(primary.url, LIMITS, true)).toEqual({ kind: "refused", status: 401 });
});

test("when its time is up, nothing was learned", async () => {
  const silent = await serve(() => {});
  const askPrimary = askPrimaryByGit({ ...OPTIONS, gitUrl: silent.url });
  const signal = AbortSignal.timeout(50);
  const answer = await askPrimary({ authorization, repositoryPath: "acme/site" }, { ...ONCE, signal });
  expect(answer).toMatchObject({ kind: "undecided", cause: "unreachable" });
});

test.each([
  ["text/plain; charset=utf-8", "Token expired.\n\n  Make another.\n", "Token expired. Make another."],
  ["text/plain", "red \u001b[31malert\u202e", "red [31malert"],
  ["text/plain", `x${"y".repeat(10_000)}`, `x${"y".repeat(299)}…`],
  ["text/plain", `your token ${SECRET} is gone`, undefined],
  ["text/plain", `you sent ${authorization}`, undefined],
  ["text/plain", " \n", undefined],
  ["application/json", JSON.stringify({ error: { message: "Token is invalid" } }), "Token is invalid"],
  ["application/json", "{", undefined],
  ["text/html", "<h1>Log in</h1>", undefined],
])("a refusal as %s, %j, is passed on as %j", async (type, body, hint) => {
  const primary = await serve(
    (_, response) => void response.writeHead(403, { "content-type": type }).end(body),
  );
  expect(await ask(primary.url)).toEqual({ kind: "refused", status: 403, ...(hint && { hint }) });
});

test("of a name that means a repository here, yes only if what it shows is what is served; asked again for what was just pushed", async () => {
  const versions: (string | string[] | undefined)[] = [];
  const primary = await serve((request, response) => {
    versions.push(request.headers["git-protocol"]);
    response.writeHead(200, ADVERTISEMENT).end("001e# service=git-upload-pack\n0000");
  });
  const uuid = "0a1b2c3d-0000-4000-8000-000000000001";
  const compared: string[] = [];
  const askWhere = (shownAfter: number, repositoryPath: string) =>
    askPrimaryByGit({
      ...OPTIONS,
      gitUrl: primary.url,
      limits: LIMITS,
      showsServed: async (asked, advertisement) => {
        compared.push(asked);
        let text = "";
        for await (const chunk of advertisement) text += Buffer.from(chunk).toString();
        return text.endsWith("0000") && compared.length > shownAfter;
      },
    })({ authorization, repositoryPath, uuid }, ONCE);
  expect(await askWhere(1, "acme/site")).toEqual({ kind: "allowed", finalPath: "acme/site" });
  expect([compared, versions]).toEqual([
    [uuid, uuid],
    [undefined, undefined],
  ]);
  expect(await askWhere(9, "acme/site")).toEqual({ kind: "refused", status: 503 });
  expect(compared).toHaveLength(5);
  expect(await askWhere(9, `acme/{${uuid}}`)).toMatchObject({ kind: "allowed" });
  expect([compared.length, versions.at(-1)]).toEqual([5, "version=2"]);
});

test("if the refs cannot be compared, the primary is not unreachable", async () => {
  const primary = await serve((_, response) => {
    response.writeHead(200, ADVERTISEMENT).end("001e# service=git-upload-pack\n0000");
  });
  const askPrimary = askPrimaryByGit({
    ...OPTIONS,
    gitUrl: primary.url,
    limits: LIMITS,
    showsServed: async () => {
      throw new Error("damaged");
    },
  });
  const uuid = "0a1b2c3d-0000-4000-8000-000000000001";
  expect(await askPrimary({ authorization, repositoryPath: "acme/site", uuid }, ONCE)).toEqual({
    kind: "undecided",
    cause: "unreadable",
    reason: "damaged",
  });
});

test("where the primary breaks off while refs are compared, it is the primary that failed", async () => {
  const primary = await serve((_, response) => {
    response.writeHead(200, ADVERTISEMENT).write("001e# service=git-upload-pack\n", () => response.destroy());
  });
  const askPrimary = askPrimaryByGit({
    ...OPTIONS,
    gitUrl: primary.url,
    limits: LIMITS,
    showsServed: async (_uuid, advertisement) => {
      for await (const chunk of advertisement) expect(chunk.length).toBeGreaterThan(0);
      return true;
    },
  });
  const uuid = "0a1b2c3d-0000-4000-8000-000000000001";
  const answer = await askPrimary({ authorization, repositoryPath: "acme/site", uuid }, ONCE);
  expect(answer).toMatchObject({ kind: "undecided", cause: "unreachable" });
});
