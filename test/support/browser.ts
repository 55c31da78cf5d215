/** Debian's Chromium, for tests of pages: what it asks other hosts for, errors of its console, and faults that axe finds. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

const PROGRAM = "/usr/bin/chromium";

export const hasBrowser = existsSync(PROGRAM);

/** Where pictures of pages go; none are made without it. */
const PICTURES = process.env["NEARSIDE_TEST_PICTURES"];

export class TestBrowser {
  readonly #browser: Browser;
  /** Since the last `takeProblems`. */
  #problems: string[] = [];

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    // Tests run as root in containers, where Chromium's sandbox cannot.
    return new TestBrowser(await chromium.launch({ executablePath: PROGRAM, args: ["--no-sandbox"] }));
  }

  /** A page in a context of its own: without cookies. */
  async page(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.#browser.newContext({ baseURL: url, ...options });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    page.on("pageerror", (error) => this.#problems.push(String(error)));
    page.on("console", (message) => {
      // A status that is no success is an error there too.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
        this.#problems.push(message.text());
    });
    page.on("request", (request) => {
      const { origin } = new URL(request.url());
      if (origin !== new URL(url).origin && !request.url().startsWith("data:"))
        this.#problems.push(`asks ${request.url()}`);
    });
    return page;
  }

  takeProblems(): string[] {
    return this.#problems.splice(0);
  }

  /** Fails for what axe finds, by WCAG A and AA and its best practices. */
  async check(page: Page, name: string): Promise<void> {
    if (PICTURES !== undefined)
      await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
    await page.evaluate(axe.source);
    const violations = await page.evaluate(async () => {
      const result = await (globalThis as unknown as { axe: typeof axe }).axe.run();
      return result.violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html) }));
    });
    expect({ name, violations }).toEqual({ name, violations: [] });
  }

  close(): Promise<void> {
    return this.#browser.close();
  }
}
