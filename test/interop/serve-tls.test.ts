/** The server with a certificate: real git over HTTPS, a cookie for HTTPS alone, and a certificate that is renewed while it runs. */
import { execFileSync } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renewTls } from "../../functions/local/tls-files.ts";
import { textResponse } from "../../lib/http/error-response.ts";
import { startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { runCli } from "../support/cli.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { git, isolatedGitEnvironment, tryGit } from "../support/git/run-git.ts";
import { startMirror } from "../support/mirror-process.ts";

const hasOpenssl = isInstalled("openssl");

function isInstalled(program: string): boolean {
  try {
    return execFileSync(program, ["version"]).length > 0;
  } catch {
    return false;
  }
}

describe.skipIf(!hasOpenssl)("with a certificate", () => {
  let acme: AcmeWorkspace;
  let first: Files;

  interface Files {
    readonly tlsCertificate: string;
    readonly tlsKey: string;
  }

  beforeAll(async () => {
    acme = await openAcmeWorkspace();
    first = certificate("first");
  });
  afterAll(() => acme.close());

  function certificate(name: string): Files {
    const tlsCertificate = join(acme.folder, `${name}.crt`);
    const tlsKey = join(acme.folder, `${name}.key`);
    const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const files = ["-keyout", tlsKey, "-out", tlsCertificate];
    execFileSync("openssl", ["req", "-x509", "-days", "2", ...newKey, ...subject, ...files], {
      stdio: "ignore",
    });
    return { tlsCertificate, tlsKey };
  }

  test("git clones, the page links to HTTPS, and the session is for HTTPS alone", async () => {
    const { gitUrl, apiUrl } = acme.fake;
    const mirror = await startMirror(
      [
        "--store",
        join(acme.folder, "store"),
        "--workspace",
        "acme",
        "--git-url",
        gitUrl,
        "--api-url",
        apiUrl,
      ].concat(["--tls-certificate", first.tlsCertificate, "--tls-key", first.tlsKey]),
      { cwd: acme.folder, env: { BITBUCKET_EMAIL: "olga@example.com", BITBUCKET_API_TOKEN: "olga-token" } },
    );
    try {
      expect(mirror.url).toMatch(/^https:/);
      const trust = ["-c", `http.sslCAInfo=${first.tlsCertificate}`];
      const clone = join(acme.folder, "clone");
      await git([...trust, "clone", "--quiet", `${mirror.url}/acme/site.git`, clone]);
      expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(
        await git(["rev-parse", "HEAD"], { cwd: acme.primary("site") }),
      );
      const planned = join(acme.folder, "planned");
      const env = { ...isolatedGitEnvironment(), GIT_SSL_CAINFO: first.tlsCertificate };
      const byPlan = await runCli(["clone", "--quiet", `${mirror.url}/acme/site.git`, planned], env);
      expect(byPlan.exitCode).toBe(0);
      expect(await readdir(join(planned, ".git/objects"))).toEqual(["info", "pack"]);
      const stranger = await tryGit(["ls-remote", `${mirror.url}/acme/site.git`]);
      expect([stranger.exitCode, stranger.stderr]).toEqual([128, expect.stringContaining("certificate")]);
      const page = await askTls(`${mirror.url}/acme/site`, { accept: "text/html" });
      expect(page.text).toContain(`git clone ${mirror.url}/acme/site.git`);
      const out = await askTls(`${mirror.url}/-/sign-out`, { "sec-fetch-site": "same-origin" }, "POST");
      expect(out.cookies).toEqual([expect.stringMatching(/^__Host-nearside=;.*; Secure$/)]);
    } finally {
      await mirror.stop();
    }
  });

  test("a renewed certificate is used without a restart, and a wrong one is not", async () => {
    const live = certificate("live");
    const server = await startNodeServer(async () => textResponse(200, "here"), {
      log: SILENT_LOGGER,
      tls: await identityOf(live),
    });
    const stop = new AbortController();
    const failures: string[] = [];
    const renewing = renewTls(live, server, {
      stop: stop.signal,
      everyMs: 10,
      onFailed: ({ message }) => failures.push(message),
    });
    const servedName = async () => (await askTls(server.url)).certificateName;
    try {
      expect(await servedName()).toBe("live");
      const next = certificate("next");
      // The key first, as some tools do: for a moment they do not belong together.
      await writeFile(live.tlsKey, await readFile(next.tlsKey));
      await expect.poll(() => failures[0]).toMatch(/must be a certificate and its private key in PEM/);
      expect(await servedName()).toBe("live");
      await writeFile(live.tlsCertificate, await readFile(next.tlsCertificate));
      await expect.poll(servedName).toBe("next");
    } finally {
      stop.abort();
      await renewing;
      await server.close();
    }
  });

  test("connections of one address that never finish their handshakes end each other, not another's", async () => {
    const tls = await identityOf(first);
    const server = await startNodeServer(async () => textResponse(200, "here"), {
      ...{ log: SILENT_LOGGER, tls, maxConnections: 20 },
    });
    let endedCount = 0;
    const silent = Array.from({ length: 600 }, () => connect({ port: server.port, host: "127.0.0.1" }));
    for (const socket of silent) {
      socket.on("error", () => undefined);
      socket.on("close", () => (endedCount += 1));
      socket.resume();
    }
    try {
      await expect.poll(() => endedCount, { timeout: 30_000 }).toBe(100);
      expect((await askTls(server.url)).text).toBe("here\n");
    } finally {
      for (const socket of silent) socket.destroy();
      await server.close();
    }
  });

  test.each([
    ["one file alone", () => ["--tls-key", first.tlsKey], "set tlsCertificate and tlsKey"],
    [
      "files in the wrong order",
      () => ["--tls-certificate", first.tlsKey, "--tls-key", first.tlsCertificate],
      "must be a certificate and its private key",
    ],
    [
      "a file that is not there",
      () => ["--tls-certificate", "/no/such.crt", "--tls-key", first.tlsKey],
      "/no/such.crt",
    ],
  ])("%s: the server does not start, and says why", async (_, args, text) => {
    const { exitCode, stderr } = await runCli(["serve", "--store", join(acme.folder, "none"), ...args()]);
    expect([exitCode, stderr]).toEqual([expect.any(Number), expect.stringContaining(text)]);
    expect(exitCode).not.toBe(0);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  async function identityOf({ tlsCertificate, tlsKey }: Files) {
    return { cert: await readFile(tlsCertificate, "utf8"), key: await readFile(tlsKey, "utf8") };
  }

  function askTls(url: string, headers: Record<string, string> = {}, method = "GET") {
    return new Promise<{ text: string; certificateName: string; cookies: string[] }>((resolve, reject) => {
      // The certificate is what the test looks at.
      const asked = request(url, { method, headers, rejectUnauthorized: false, agent: false }, (response) => {
        const { subject } = (response.socket as TLSSocket).getPeerCertificate();
        response.setEncoding("utf8");
        let text = "";
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          resolve({
            text,
            certificateName: String(subject.CN),
            cookies: response.headers["set-cookie"] ?? [],
          }),
        );
      });
      asked.on("error", reject);
      asked.end();
    });
  }
});
