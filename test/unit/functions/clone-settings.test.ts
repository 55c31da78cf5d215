/** What `nearside clone` reads of git's configuration, and where it looks for a plan. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { planUrlOf } from "../../../functions/cli/clone/ask-plan.ts";
import { readHttpSettings } from "../../../functions/cli/clone/http-settings.ts";
import { isolatedGitEnvironment } from "../../support/git/run-git.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";

test.each([
  ["https://m.example/acme/site.git", "https://m.example/-/repositories/acme/site.git/clone-plan"],
  ["https://you@m.example/acme/site/", "https://m.example/-/repositories/acme/site/clone-plan"],
  ["https://m.example/stage/acme/site", "https://m.example/stage/-/repositories/acme/site/clone-plan"],
  [
    "http://m.example:81/scm/CORE/site.git",
    "http://m.example:81/-/repositories/scm/CORE/site.git/clone-plan",
  ],
  ["https://m.example/site.git", undefined],
  ["https://m.example/acme/site.git?x", undefined],
  ["ssh://git@m.example/acme/site.git", undefined],
  ["git@m.example:acme/site.git", undefined],
  ["../acme/site.git", undefined],
])("the plan of %s is at %s", (url, expected) => {
  expect(planUrlOf(url)).toBe(expected);
});

async function settingsOf(
  settings: readonly string[],
  { url = "http://m.example/acme/site.git", env = {} }: { url?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const options = settings.flatMap((setting) => ["-c", setting]);
  return readHttpSettings({ options, env: isolatedGitEnvironment() }, url, env);
}

test.each([
  [["http.proxy=p.example:3128"], {}, "http://p.example:3128"],
  [["http.proxy=http://a:b@p.example"], {}, "http://a:b@p.example"],
  [["http.http://m.example.proxy=http://own"], {}, "http://own"],
  [["http.http://other.example.proxy=http://own"], {}, undefined],
  [["http.proxy="], { http_proxy: "http://env" }, undefined],
  [[], { http_proxy: "http://env", https_proxy: "http://tls" }, "http://env"],
  [[], { ALL_PROXY: "http://all" }, "http://all"],
])("with %j and %j the proxy is %s", async (settings, env, proxy) => {
  const found = await settingsOf(settings, { env: { ...env, no_proxy: ".local" } });
  expect(found?.agent.proxyEnv).toEqual(
    proxy === undefined ? {} : { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: ".local" },
  );
});

test.each([
  [["http.proxy=socks5://p.example"], {}],
  [["http.sslCert=/a.pem"], {}],
  [["http.cookieFile=/c"], {}],
  [[], { GIT_SSL_CERT: "/a.pem" }],
  [["http.sslVersion=tlsv1.3"], {}],
  [["http.sslCipherList=ECDHE-RSA-AES128-GCM-SHA256"], {}],
  [["http.http://m.example.sslBackend=gnutls"], {}],
  [[], { GIT_SSL_VERSION: "tlsv1.3" }],
  [[], { GIT_SSL_CIPHER_LIST: "ECDHE-RSA-AES128-GCM-SHA256" }],
  [["http.proxy=http://p.example:99999"], {}],
  [["remote.origin.proxy=http://p.example"], {}],
  [["http.extraHeader=No colon"], {}],
  [["http.extraHeader=Accept:"], {}],
  [["http.extraHeader=A name: 1"], {}],
  [["http.extraHeader=X-A: \u2713"], {}],
  [["http.extraHeader=Content-Length: 5"], {}],
])("with %j and %j git makes the requests itself", async (settings, env) => {
  expect(await settingsOf(settings, { env })).toBeUndefined();
});

test("a proxy is left to git where Node has none for its requests", async () => {
  const options = ["-c", "http.proxy=http://p.example"];
  const env = isolatedGitEnvironment();
  const url = "http://m.example/acme/site.git";
  const isOwn = async (nodeVersion: string) =>
    (await readHttpSettings({ options, env }, url, {}, nodeVersion)) !== undefined;
  expect(await isOwn("24.4.1")).toBe(false);
  expect(await isOwn("24.5.0")).toBe(true);
  expect(await isOwn("25.0.0")).toBe(true);
  expect((await readHttpSettings({ options: [], env }, url, {}, "24.4.1"))?.agent.proxyEnv).toEqual({});
});

test("certificates and headers are those of the address", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "ca.pem");
  await writeFile(file, "a certificate");
  const url = "https://m.example/acme/site.git";
  const found = await settingsOf(
    [
      `http.https://m.example.sslCAInfo=${file}`,
      "http.extraHeader=X-A: 1",
      "http.https://m.example.extraHeader=X-B:2",
    ],
    { url },
  );
  expect(found).toMatchObject({
    agent: { ca: ["a certificate"], rejectUnauthorized: true },
    headers: { "x-a": "1", "x-b": "2" },
  });
  expect(await settingsOf(["http.sslVerify=false"], { url })).toMatchObject({
    agent: { rejectUnauthorized: false },
  });
  expect((await settingsOf(["http.https://other.example.extraHeader=X-C: 3"], { url }))?.headers).toEqual({});
});
