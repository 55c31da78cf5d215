/** The pages as deployed, below the API's stage: sessions that every process opens, and a browser that follows links and searches. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type IndexedRepository, workspaceIndex } from "../../lib/mirror/workspace-index.ts";
import { NO_DOCUMENT } from "../../lib/repo/stored-document.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { hasBrowser, TestBrowser } from "../support/browser.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { MirrorBuilder, OFS_ALL } from "../support/git/mirror-builder.ts";
import { nameRepository } from "../support/named-repository.ts";

const runtimeClient = findRuntimeClient();
const AT = "2026-11-25T11:59:48.000Z";
const HTML = { accept: "text/html,*/*;q=0.8" };

describe.skipIf(runtimeClient === undefined)("the pages function", () => {
  let acme: AcmeWorkspace;
  let front: AwsFront;
  /** Of the pages function at S3. */
  const storeRequests: string[] = [];
  const takeStoreRequests = () =>
    storeRequests.splice(0).map((line) => line.replaceAll(/[0-9a-f-]{36,64}/g, "<id>"));

  beforeAll(async () => {
    acme = await openAcmeWorkspace();
    const { gitUrl, apiUrl, controls } = acme.fake;
    front = await startAwsFront({
      runtimeClient: runtimeClient ?? "",
      folder: acme.folder,
      settings: { gitUrl, apiUrl },
      interceptS3({ method, url = "", headers }) {
        const { pathname } = new URL(url, "http://s3");
        if (headers["x-amz-security-token"] === "pages")
          storeRequests.push(`${method} ${decodeURIComponent(pathname).replace("/nearside/", "")}`);
        return false;
      },
    });
    const entries: (readonly [string, IndexedRepository])[] = [];
    for (const slug of ["site", "vault"]) {
      const scratch = join(acme.folder, `scratch-${slug}`);
      const builder = await MirrorBuilder.open(front.store, acme.primary(slug), scratch);
      await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
      await builder.publish("acme", slug);
      const isPrivate = slug === "vault";
      const record = { workspace: "acme", slug, projectKey: "WEB", isPrivate, foundBy: "uuid" } as const;
      await nameRepository(front.store, builder.uuid, record);
      entries.push([builder.uuid, { slug, isPrivate, updatedOn: AT, seenAt: AT, held: "mirrored" }]);
      const { callers, repositories } = controls.accounts;
      const known = { ...repositories[`acme/${slug}`], uuid: builder.uuid };
      controls.replaceAccounts({ callers, repositories: { ...repositories, [`acme/${slug}`]: known } });
    }
    const index = { repositories: Object.fromEntries(entries) };
    await workspaceIndex(front.store, "acme").write(index, NO_DOCUMENT);
  });

  afterAll(async () => {
    await front.close();
    await acme.close();
  });

  const page = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${front.url}${path}`, { headers: { ...HTML, ...headers }, redirect: "manual" });

  function signIn(user: string, token: string): Promise<Response> {
    return fetch(`${front.url}/-/sign-in`, {
      method: "POST",
      redirect: "manual",
      headers: { "sec-fetch-site": "same-origin" },
      body: new URLSearchParams({ user, token }),
    });
  }

  const shown = (text: string) => [...text.matchAll(/data-repository="([^"]+)"/g)].map(([, name]) => name);

  test("ask the store little: a new process for its first pages, and hardly anything after that", async () => {
    takeStoreRequests();
    const requestsFor = async (path: string) => {
      await (await page(path)).text();
      return takeStoreRequests().toSorted();
    };
    expect(await requestsFor("/")).toEqual([
      "GET config.json",
      "GET repos/<id>/manifest.json",
      "GET repos/<id>/repository.json",
      "GET workspaces/acme.json",
    ]);
    const one = await requestsFor("/-/pages/acme/site");
    // The question to Bitbucket is claimed and answered, for all processes.
    expect(one.filter((request) => request.startsWith("PUT"))).toEqual(["PUT auth/<id>", "PUT auth/<id>"]);
    expect(one.length).toBeLessThanOrEqual(8);
    expect(await requestsFor("/-/page.css")).toEqual([]);
    expect((await requestsFor("/")).length).toBeLessThanOrEqual(4);
  });

  test("show everyone public repositories, with links to pages that are not git's", async () => {
    const home = await page("/");
    const text = await home.text();
    expect(home.status, text + front.log()).toBe(200);
    expect(shown(text), front.log()).toEqual(["acme/site"]);
    expect(text).toContain('href="/git/-/pages/acme/site"');
    const site = await page("/-/pages/acme/site");
    expect(site.status).toBe(200);
    expect(await site.text()).toContain(`git clone ${front.url}/acme/site.git`);
    expect((await page("/-/pages/acme/vault")).status).toBe(404);
    expect((await page("/-/page.js")).headers.get("cache-control")).toContain("immutable");
    expect((await page("/-/no-such-page")).status).toBe(404);
  });

  test("a session is good in every process, and pages poll", async () => {
    const answer = await signIn("rita@example.com", "rita-token");
    expect([answer.status, answer.headers.get("location")], front.log()).toEqual([303, "/git/"]);
    const cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? "";
    const texts = await Promise.all(
      Array.from({ length: 3 }, async () => (await page("/", { cookie })).text()),
    );
    for (const text of texts) expect(shown(text)).toEqual(["acme/site", "acme/vault"]);
    expect(front.counts().pages?.cold).toBeGreaterThan(1);
    expect((await page("/-/pages/acme/vault", { cookie })).status).toBe(200);
    expect((await page("/-/events?", { cookie })).status).toBe(204);
    expect(await (await page("/-/events?once", { cookie })).json()).toMatchObject({
      repositories: [{ name: "acme/site" }, { name: "acme/vault" }],
    });
    expect(front.log()).not.toContain("rita-token");
  });

  test("a wrong credential begins no session", async () => {
    const answer = await signIn("rita@example.com", "wrong-token");
    expect(answer.status).toBe(401);
    expect(answer.headers.get("set-cookie")).toBeNull();
  });

  test("a browser at git's address is sent to the page, and git is not", async () => {
    const browser = await page("/acme/vault");
    expect([browser.status, browser.headers.get("location")]).toEqual([303, "/git/-/pages/acme/vault"]);
    expect((await page("/acme/vault", { accept: "*/*" })).status).toBe(404);
    expect((await page("/acme/site/info/refs?service=git-upload-pack")).status).toBe(200);
  });

  test.skipIf(!hasBrowser)("in a browser: sign in, search, open, sign out", async () => {
    const browser = await TestBrowser.start();
    try {
      const tab = await browser.page(front.url);
      const names = () => tab.locator("tbody th a").allTextContents();
      await tab.goto(`${front.url}/`);
      await tab.getByRole("link", { name: "Sign in" }).click();
      await tab.getByLabel("E-mail address").fill("rita@example.com");
      await tab.getByLabel("API token").fill("rita-token");
      await tab.getByRole("button", { name: "Sign in" }).click();
      await tab.getByRole("link", { name: "acme/vault" }).waitFor();
      await tab.getByLabel("Search by name").fill("vau");
      await tab.getByText("1 repository with").first().waitFor();
      expect([await names(), new URL(tab.url()).pathname]).toEqual([["acme/vault"], "/git/"]);
      await tab.getByRole("link", { name: "acme/vault" }).click();
      await tab.getByRole("heading", { name: "acme/vault" }).waitFor();
      await tab.getByRole("button", { name: "Sign out" }).click();
      await tab.getByRole("heading", { name: "Public repositories" }).waitFor();
      expect(await names()).toEqual(["acme/site"]);
      expect(browser.takeProblems()).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
