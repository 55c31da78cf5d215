/** The pages in a browser, over a mirror of a fake Bitbucket. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { textResponse } from "../../lib/http/error-response.ts";
import { startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { hasBrowser, TestBrowser } from "../support/browser.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { git } from "../support/git/run-git.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import { pageRig } from "../support/page-rig.ts";

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

describe.skipIf(!hasBrowser)("in a browser", () => {
  let browser: TestBrowser;
  let acme: AcmeWorkspace;
  let mirror: MirrorProcess & MirrorAnnouncement;

  beforeAll(async () => {
    browser = await TestBrowser.start();
    acme = await openAcmeWorkspace();
    const { gitUrl, apiUrl } = acme.fake;
    mirror = await startMirror(
      ["--store", join(acme.folder, "store"), "--workspace", "acme", "--poll-seconds", "0.5"].concat([
        "--git-url",
        gitUrl,
        "--api-url",
        apiUrl,
      ]),
      { cwd: acme.folder, env: { BITBUCKET_EMAIL: "olga@example.com", BITBUCKET_API_TOKEN: "olga-token" } },
    );
  });

  afterAll(async () => {
    await browser.close();
    await mirror.stop("SIGKILL");
    await acme.close();
  });

  afterEach(() => expect(browser.takeProblems()).toEqual([]));

  const names = (page: Page) => page.locator("tbody th a").allTextContents();

  async function signIn(page: Page, user: string, token: string): Promise<void> {
    await page.goto("/");
    await page.getByRole("link", { name: "Sign in" }).click();
    await page.getByLabel("E-mail address").fill(user);
    await page.getByLabel("API token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForLoadState();
  }

  test("without sign-in: public repositories, and a line to clone that works as copied", async () => {
    const page = await browser.page(mirror.url);
    await page.goto("/");
    expect(await names(page)).toEqual(["acme/site"]);
    await browser.check(page, "home-light");
    await page.getByRole("link", { name: "acme/site" }).click();
    await browser.check(page, "repository-light");
    await page.getByRole("button", { name: "Copy: command to clone", exact: true }).click();
    await page.getByRole("status").filter({ hasText: "Copied" }).waitFor();
    const line = await page.evaluate(() =>
      (
        globalThis as unknown as { navigator: { clipboard: { readText(): Promise<string> } } }
      ).navigator.clipboard.readText(),
    );
    expect(line).toBe(`git clone ${mirror.url}/acme/site.git`);
    const clone = join(acme.folder, "copied-clone");
    await git([...line.split(" ").slice(1), clone, "--quiet"]);
    expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(
      await git(["rev-parse", "HEAD"], { cwd: acme.primary("site") }),
    );
  });

  test.each([
    ["rita@example.com", "rita-token", ["acme/site", "acme/vault"]],
    ["stranger@example.com", "stranger-token", ["acme/site"]],
    ["", "robot-token", ["acme/site", "acme/vault"]],
    // A username that git takes and REST, which lists, does not.
    ["rita", "rita-token", ["acme/site"]],
  ])("%s sees exactly its own, and nothing after signing out", async (user, token, expected) => {
    const page = await browser.page(mirror.url, { colorScheme: "dark" });
    await signIn(page, user, token);
    expect(await names(page)).toEqual(expected);
    await browser.check(page, `list-dark-${user.split("@")[0]}`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("link", { name: "Sign in" }).waitFor();
    expect(await names(page)).toEqual(["acme/site"]);
    expect((await page.goto("/acme/vault"))?.status()).toBe(404);
    await browser.check(page, "not-found-dark");
  });

  test("a wrong credential and an ended session are said in words", async () => {
    const page = await browser.page(mirror.url, PHONE);
    await signIn(page, "rita@example.com", "wrong-token");
    expect(await page.getByRole("alert").textContent()).toContain("did not accept this credential");
    await browser.check(page, "refused-phone");
    await page.context().addCookies([{ name: "nearside", value: "A".repeat(80), url: mirror.url }]);
    await page.goto("/acme/vault");
    expect(await page.getByRole("alert").textContent()).toBe("Your session has ended. Sign in again.");
  });

  test("verified times move on while a page is open, after a push", async () => {
    const page = await browser.page(mirror.url, { ...PHONE, colorScheme: "dark" });
    await signIn(page, "wanda@example.com", "wanda-token");
    await page.goto("/acme/vault");
    await browser.check(page, "repository-dark-phone");
    const time = page.locator("time[data-age]");
    const before = (await time.getAttribute("datetime")) ?? "";
    const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
    await git(["commit", "--quiet", "--allow-empty", "--message=mine"], { cwd: clone });
    await git(["push", "--quiet", "origin", "HEAD"], { cwd: clone });
    await page.locator(`time[data-age]:not([datetime="${before}"])`).waitFor();
    expect(Date.parse((await time.getAttribute("datetime")) ?? "")).toBeGreaterThan(Date.parse(before));
  });

  test("an administrator pauses, resumes, selects and syncs, without scripts, and it is logged", async () => {
    const page = await browser.page(mirror.url, { javaScriptEnabled: false });
    await signIn(page, "olga@example.com", "olga-token");
    await page.getByRole("link", { name: "Administration" }).click();
    expect(await page.locator("svg.metric").count()).toBe(5);
    await page.getByRole("link", { name: "acme" }).click();
    await page.getByRole("button", { name: "Pause" }).click();
    expect(await page.getByRole("status").first().textContent()).toContain("is paused");
    const refs = `${mirror.url}/acme/site.git/info/refs?service=git-upload-pack`;
    expect((await fetch(refs, { redirect: "manual" })).status).not.toBe(200);
    await page.getByRole("button", { name: "Resume" }).click();
    expect((await fetch(refs, { redirect: "manual" })).status).toBe(200);
    await page.getByLabel("Projects").fill("WEB");
    await page.getByRole("button", { name: "Preview" }).click();
    expect(await page.locator("#preview").textContent()).toContain("1 of 2 repositories");
    expect(await page.locator(".names li").allTextContents()).toEqual(["vault"]);
    await page.getByRole("link", { name: "acme" }).click();
    await page.getByLabel("One repository").fill("site");
    await page.getByRole("button", { name: "Sync this repository" }).click();
    expect(await page.getByRole("status").first().textContent()).toContain("queued");
    const log = page.getByRole("region", { name: "What administrators did" });
    const rows = await log.locator("tbody tr").allTextContents();
    expect(rows.map((row) => /olga@example.com\s*(.*)/.exec(row)?.[1])).toEqual([
      "sync acme (site)",
      "resume acme",
      "pause acme",
    ]);
  });

  test.each([
    ["light", {}],
    ["dark-phone", { ...PHONE, colorScheme: "dark" }],
  ] as const)("pages for administrators have no fault that axe finds: %s", async (name, options) => {
    const page = await browser.page(mirror.url, options);
    await signIn(page, "olga@example.com", "olga-token");
    for (const [path, picture] of [
      ["/-/admin", "overview"],
      ["/-/admin/acme?done=sync", "workspace"],
      ["/-/admin/acme/select?projects=WEB", "preview"],
    ] as const) {
      await page.goto(path);
      await browser.check(page, `admin-${picture}-${name}`);
    }
    await page.getByRole("link", { name: "acme", exact: true }).click();
    await page.getByLabel("to remove it").fill("another");
    await page.getByRole("button", { name: "Remove" }).click();
    expect(await page.getByRole("alert").textContent()).toContain("enter its name");
  });

  test("all of it works without scripts", async () => {
    const page = await browser.page(mirror.url, { javaScriptEnabled: false });
    await signIn(page, "rita@example.com", "rita-token");
    await page.getByLabel("Search by name").fill("VAU");
    await page.getByRole("button", { name: "Search" }).click();
    expect(await names(page)).toEqual(["acme/vault"]);
    await page.getByRole("link", { name: "acme/vault" }).click();
    expect(await page.locator("#clone").textContent()).toBe(`git clone ${mirror.url}/acme/vault.git`);
    expect(await page.getByRole("button", { name: "Copy" }).count()).toBe(0);
  });

  test("a search among 2,000 answers while one types, by keyboard alone", async () => {
    const repositories = Array.from({ length: 2_000 }, (_, n) => ({
      slug: `service-${n}`,
      isPrivate: false,
    }));
    const { answer } = await pageRig({ repositories });
    const server = await startNodeServer(
      async (request) => (await answer(request)) ?? textResponse(404, "no page"),
      { log: SILENT_LOGGER },
    );
    try {
      const page = await browser.page(server.url);
      await page.goto("/");
      expect(await page.locator("#count").textContent()).toBe("1 to 50 of 2000 repositories");
      await page.keyboard.press("Tab");
      expect(await page.locator(":focus").textContent()).toBe("Skip to content");
      await page.getByLabel("Search by name").focus();
      await page.keyboard.type("service-1999");
      await page.locator("#count", { hasText: "1 repository with" }).waitFor();
      expect(await names(page)).toEqual(["acme/service-1999"]);
      expect(page.url()).toContain("search=service-1999");
      await page.getByLabel("Search by name").fill("");
      await page.locator("#count", { hasText: "of 2000" }).waitFor();
      await page.getByRole("link", { name: "Next page" }).focus();
      await page.keyboard.press("Enter");
      await page.locator("#count", { hasText: "51 to 100" }).waitFor();
      await browser.check(page, "many-light");
    } finally {
      await server.close();
    }
  });

  test("other mirrors are measured and shown nearest first; nothing else is asked for", async () => {
    const served = async (delayMs: number, otherMirrors: string[] = []) => {
      const workspaces = [{ workspace: "acme", projects: "all" as const, otherMirrors }];
      const { answer } = await pageRig({ repositories: [{ slug: "site", isPrivate: false }], workspaces });
      return startNodeServer(
        async (request) => {
          await sleep(delayMs);
          return (await answer(request)) ?? textResponse(404, "no page");
        },
        { log: SILENT_LOGGER },
      );
    };
    await using stack = new AsyncDisposableStack();
    const open = async (delayMs: number, otherMirrors?: string[]) => {
      const server = await served(delayMs, otherMirrors);
      stack.defer(() => server.close());
      return server.url;
    };
    const [far, near] = [await open(400), await open(0)];
    const gone = "http://127.0.0.1:9";
    const page = await browser.page(await open(0, [gone, far, near]));
    await page.goto("/acme/site");
    await page.getByText("not reached from here").waitFor();
    const mirrors = page.locator("#mirrors [data-mirror]");
    await expect.poll(() => mirrors.first().getAttribute("data-mirror")).toBe(near);
    expect(await mirrors.evaluateAll((all) => all.map((one) => one.getAttribute("data-mirror")))).toEqual([
      near,
      far,
      gone,
    ]);
    expect(await mirrors.nth(1).locator("[data-latency]").textContent()).toMatch(/^[4-9]\d\d ms away$/);
    const asked = browser
      .takeProblems()
      .map((problem) => /^asks (http:\/\/[^/]+)\//.exec(problem)?.[1] ?? problem);
    expect(new Set(asked)).toEqual(new Set([gone, far, near]));
    await browser.check(page, "other-mirrors-light");
  });
});
