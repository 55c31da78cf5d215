/** Real git-lfs where something stands between: a `.lfsconfig`, S3 at another address for clients, a line that breaks. */
import { createHash, randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type CredentialHelper, makeCredentialHelper } from "../support/credential-helper.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { lfsClientsAt, lfsClone } from "../support/lfs/lfs-clone.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../support/primary.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";

const isMissing = (await tryGit(["lfs", "version"])).exitCode !== 0;
// In CI nothing is left out.
if (isMissing && process.env["CI"] !== undefined) throw new Error("git-lfs is not installed");

const WAITING = { timeout: 60_000, interval: 50 };
const oidOf = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

describe.skipIf(isMissing)("git-lfs", () => {
  const content = randomBytes(3_000_000);
  let primary: Primary;
  let mirror: MirrorProcess & MirrorAnnouncement;
  let helper: CredentialHelper;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    primary = await startPrimary({ make: makeEmptyRepository });
    await primary.commit("main", ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    await addLfsFile(primary, "a.bin", content);
  });

  afterEach(async () => {
    await mirror?.stop();
    for (const close of closing.splice(0).toReversed()) await close();
    await primary.close();
  });

  async function start(args: readonly string[] = [], env: Record<string, string> = {}): Promise<void> {
    mirror = await startMirror([...primary.mirrorArguments, ...args], { env });
    const credential = { username: "developer", password: "developer" };
    const hosts = [mirror.url, primary.fake.gitUrl].map((url) => new URL(url).host);
    helper = await makeCredentialHelper(
      primary.folder,
      Object.fromEntries(hosts.map((host) => [host, credential])),
    );
    const body = JSON.stringify({ operation: "download", objects: [{ oid: oidOf(content), size: 1 }] });
    await vi.waitFor(async () => {
      const response = await fetch(`${mirror.url}/acme/sample.git/info/lfs/objects/batch`, {
        method: "POST",
        body,
      });
      expect(await response.text()).not.toContain("client=fake");
    }, WAITING);
    primary.fake.lfs.reset();
  }

  const cloneOf = (address: string, ...settings: string[]) =>
    lfsClone({ path: primary.newPath(), address, credentials: [...helper.options, ...settings] });

  test("the two lines of the status lead past a .lfsconfig, and pushes to the primary", async () => {
    const { gitUrl } = primary.fake;
    await primary.commit("main", ".lfsconfig", `[lfs]\n\turl = ${gitUrl}/acme/sample.git/info/lfs\n`);
    await start();
    const led = await cloneOf(`${mirror.url}/acme/sample.git`);
    await led.lfs("pull");
    expect(lfsClientsAt(primary).transfers).toBe(1);

    primary.fake.lfs.reset();
    const lines = [
      ...["-c", `url.${mirror.url}/.insteadOf=${gitUrl}/`],
      ...["-c", `url.${gitUrl}/.pushInsteadOf=${gitUrl}/`],
    ];
    const clone = await cloneOf(`${gitUrl}/acme/sample.git`, ...lines);
    await clone.lfs("pull");
    expect((await clone.read("a.bin")).equals(content)).toBe(true);
    expect(lfsClientsAt(primary)).toEqual({ batches: [], transfers: 0 });
    await clone.commit({ "b.bin": randomBytes(1000) });
    await clone.run("push", "--quiet", "origin", "HEAD:refs/heads/pushed");
    expect(lfsClientsAt(primary)).toEqual({ batches: ["upload"], transfers: 1 });
    expect(await primary.git("cat-file", "-t", "pushed:b.bin")).toBe("blob");
  });

  test("files come from S3 at its public address, where a download that breaks is continued", async () => {
    const requested: { readonly url: string; readonly range: string | undefined; authorization: unknown }[] =
      [];
    const s3: S3Server = await startS3Server({
      folder: join(primary.folder, "s3"),
      intercept: ({ url = "", headers }) => {
        if (headers.host === publicHost)
          requested.push({ url, range: headers.range, authorization: headers.authorization });
        return false;
      },
    });
    closing.push(() => s3.close());
    const line = await breakingLine(s3.endpoint, "GET /", 1_000_000);
    closing.push(line.close);
    const publicHost = new URL(line.url).host;
    const place = ["--store", `s3://${s3.bucketName}/git`, "--s3-endpoint", s3.endpoint];
    await start([...place, "--s3-public-endpoint", line.url], {
      AWS_REGION: s3.region,
      AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
    });
    // For the mirror alone: S3 refuses a second kind of authorization.
    const header = [
      "-c",
      `http.${mirror.url}/.extraHeader=Authorization: Basic ${btoa("developer:developer")}`,
    ];
    const clone = await cloneOf(`${mirror.url}/acme/sample.git`, ...header);
    await clone.lfs("pull");
    expect((await clone.read("a.bin")).equals(content)).toBe(true);
    expect(requested.map(({ authorization }) => authorization)).toEqual(requested.map(() => undefined));
    expect(requested.map(({ url }) => url.split("?")[0])).toEqual(
      requested.map(() => expect.stringContaining(oidOf(content))),
    );
    expect(requested.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-/);
    expect(lfsClientsAt(primary)).toEqual({ batches: [], transfers: 0 });
  });

  test("a download from the server itself that breaks is continued as well", async () => {
    await start();
    const line = await breakingLine(mirror.url, "GET /~blobs/", 1_000_000);
    closing.push(line.close);
    const clone = await cloneOf(`${line.url}/acme/sample.git`);
    await clone.lfs("pull");
    expect((await clone.read("a.bin")).equals(content)).toBe(true);
    expect(line.brokenConnections()).toBe(1);
    expect(line.requests().at(-1)).toMatch(/^range: bytes=[1-9]\d*-/im);
    expect(await git(["lfs", "fsck"], { cwd: clone.path })).toContain("Git LFS fsck OK");
  });
});

/** A line to a server that breaks once: the first connection on which `start` is asked for, after so many bytes of the answer. */
async function breakingLine(serverUrl: string, start: string, afterBytes: number) {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  let brokenConnections = 0;
  const server: Server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    let isWatched = false;
    let passedBytes = 0;
    client.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      if (text.startsWith(start)) {
        requests.push(text);
        isWatched = requests.length === 1;
        passedBytes = 0;
      }
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      passedBytes += chunk.length;
      if (isWatched && passedBytes > afterBytes) {
        brokenConnections += 1;
        client.destroy();
        upstream.destroy();
      } else client.write(chunk);
    });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    brokenConnections: () => brokenConnections,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
