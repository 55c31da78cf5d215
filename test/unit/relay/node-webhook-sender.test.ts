import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type LookupFunction } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeWebhookSender } from "../../../lib/relay/node-webhook-sender.ts";
import type { WebhookRequest } from "../../../lib/relay/ports.ts";

const SIGNAL = new AbortController().signal;

let server: Server;
let origin: string;
let requests: string[];

beforeEach(async () => {
  requests = [];
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers["x-event-key"]}`);
    if (request.url === "/moved") response.writeHead(302, { location: `${origin}/elsewhere` }).end();
    else if (request.url !== "/silent") response.writeHead(204).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

function request(url: string, allowsPrivate = false): WebhookRequest {
  return { url, headers: { "x-event-key": "key" }, body: "{}", allowsPrivate };
}

/** Every name means this address. */
function resolvingTo(...addresses: string[]): LookupFunction {
  return (_hostname, options, callback) => {
    const all = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    if (options.all) callback(null, all);
    else callback(null, all[0]?.address ?? "", all[0]?.family);
  };
}

describe("beside a local mirror", () => {
  test("a receiver on this machine gets the event", async () => {
    const send = nodeWebhookSender({ allowsLoopback: true });
    expect(await send(request(`${origin}/hook`), SIGNAL)).toBe(204);
    expect(await send(request(origin.replace("127.0.0.1", "localhost")), SIGNAL)).toBe(204);
    expect(requests).toEqual(["POST /hook key", "POST / key"]);
  });

  test("a redirect is an answer, and not followed", async () => {
    const send = nodeWebhookSender({ allowsLoopback: true });
    expect(await send(request(`${origin}/moved`), SIGNAL)).toBe(302);
    expect(requests).toEqual(["POST /moved key"]);
  });

  test("one that says nothing is waited for so long and no longer", async () => {
    const send = nodeWebhookSender({ allowsLoopback: true, timeoutMs: 100 });
    await expect(send(request(`${origin}/silent`), SIGNAL)).rejects.toThrow("gave no answer within 100 ms");
  });

  test("plain HTTP goes nowhere else", async () => {
    const send = nodeWebhookSender({ allowsLoopback: true, lookup: resolvingTo("1.1.1.1") });
    await expect(send(request("http://localhost/hook", true), SIGNAL)).rejects.toThrow("public Internet");
    await expect(send(request("http://10.0.0.1/hook", true), SIGNAL)).rejects.toThrow("private address");
  });
});

describe("deployed", () => {
  const send = (url: string, lookup?: LookupFunction, allowsPrivate = false) =>
    nodeWebhookSender({ allowsLoopback: false, timeoutMs: 2_000, ...(lookup && { lookup }) })(
      request(url, allowsPrivate),
      SIGNAL,
    );

  test.each([
    ["https://127.0.0.1/"],
    ["https://2130706433/"],
    ["https://[::1]/"],
    ["https://[::ffff:127.0.0.1]/"],
    ["https://169.254.169.254/latest/meta-data/"],
    ["https://10.0.0.8/"],
    ["http://127.0.0.1/"],
    ["http://receiver.example/"],
    ["ftp://receiver.example/"],
  ])("nothing is sent to %s", async (url) => {
    await expect(send(url)).rejects.toThrow(/has to begin with https|public Internet|private address/);
  });

  /** Where a connection would be seen. */
  async function listening(): Promise<{
    port: number;
    connections: () => number;
    close: () => Promise<unknown>;
  }> {
    let count = 0;
    const listener = createTcpServer((socket) => {
      count += 1;
      socket.on("error", () => undefined).destroy();
    });
    await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
    return {
      port: (listener.address() as AddressInfo).port,
      connections: () => count,
      close: () => new Promise((done) => listener.close(done)),
    };
  }

  test("a name counts for what it resolves to when the connection is made", async () => {
    const { port, connections, close } = await listening();
    const url = `https://receiver.example:${port}/`;
    for (const addresses of [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["169.254.169.254"], ["::1"]])
      await expect(send(url, resolvingTo(...addresses))).rejects.toThrow("none of the public Internet");
    await expect(send(url, resolvingTo("192.168.7.7"))).rejects.toThrow("--private-addresses");
    expect(connections()).toBe(0);
    // The same, where it is allowed: what is refused above would have got through.
    const local = nodeWebhookSender({ allowsLoopback: true, lookup: resolvingTo("127.0.0.1") });
    await expect(local(request(url), SIGNAL)).rejects.toThrow("cannot be reached");
    expect(connections()).toBe(1);
    await close();
  });
});
