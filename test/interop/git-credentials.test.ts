/** Every way in which git has a credential, against every state of a repository: where it clones from, pushes to, and what it says. */
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makeCredentialHelper } from "../support/credential-helper.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import {
  CREDENTIALS,
  type GuardedMirror,
  type GuardedMirrorOptions,
  startGuardedMirror,
} from "../support/guarded-mirror.ts";
import { TOKENS } from "../support/test-credentials.ts";
import { reserveUnmirrored, syncUnmirrored } from "../support/unmirrored-repository.ts";

const WAYS = ["none", "helper", "URL", "extraHeader"] as const;
type Way = (typeof WAYS)[number];

const LOGIN = /could not read Username|Authentication failed/;
const PAUSED = /remote: the mirror of this repository is paused; it is at http\S+\/acme\/\S+\.git/;
const DESELECTED = /remote: this repository is no longer mirrored; it is at http\S+\/acme\/\S+\.git/;

let mirror: GuardedMirror;
let pathCount = 0;
let url: string;

beforeAll(async () => {
  mirror = await startGuardedMirror();
  const { repositories } = mirror.accounts;
  Object.assign(mirror.accounts, { repositories });
});
beforeEach(() => mirror.reset());
afterAll(() => mirror.close());

async function serve(options: GuardedMirrorOptions): Promise<void> {
  // Another host than the primary's, for git and curl as well.
  url = (await mirror.restarted(options)).url.replace("127.0.0.1", "localhost");
}

const newPath = () => join(mirror.folder, `path-${pathCount++}`);

/** @returns Options for git, and the URL of a repository. */
async function credentialOf(
  way: Way,
  slug: string,
): Promise<{ readonly options: readonly string[]; readonly at: string }> {
  const at = `${url}/acme/${slug}.git`;
  const none = ["-c", "credential.helper="];
  switch (way) {
    case "none":
      return { options: none, at };
    case "URL":
      return { options: none, at: at.replace("//", `//wanda:${TOKENS.wanda}@`) };
    case "extraHeader": {
      const header = `http.${url}/.extraHeader=Authorization: ${CREDENTIALS["API token of a writer"]}`;
      return { options: [...none, "-c", header], at };
    }
    case "helper": {
      const credential = { username: "wanda", password: TOKENS.wanda };
      const hosts = [url, mirror.fake.gitUrl].map((one) => [new URL(one).host, credential]);
      return { options: (await makeCredentialHelper(mirror.folder, Object.fromEntries(hosts))).options, at };
    }
  }
}

/** @returns Which server sent the pack, or what git said. */
async function clone(way: Way, slug: string): Promise<string> {
  mirror.fake.controls.clearRequests();
  const { options, at } = await credentialOf(way, slug);
  const { exitCode, stderr } = await tryGit([...options, "clone", "--quiet", "--bare", at, newPath()]);
  if (exitCode !== 0) return stderr;
  const isFromPrimary = mirror.fake.controls.requests.some(
    ({ caller, path, status }) => path.endsWith("/git-upload-pack") && status === 200 && caller !== "rita",
  );
  return isFromPrimary ? "from the primary" : "from the mirror";
}

function setPublic(...slugs: readonly string[]): void {
  const repositories = { ...mirror.accounts.repositories };
  for (const slug of slugs) repositories[`acme/${slug}`] = { ...repositories[`acme/${slug}`], public: true };
  mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories });
}

type Row = Readonly<Record<Way, string | RegExp>>;
const all = (result: string | RegExp): Row => ({
  none: result,
  helper: result,
  URL: result,
  extraHeader: result,
});

describe.each<[state: string, slug: string, row: Row, options: GuardedMirrorOptions]>([
  ["mirrored", "vault", { ...all("from the mirror"), none: LOGIN }, {}],
  ["mirrored and public", "site", all("from the mirror"), {}],
  ["not yet mirrored", "unmirrored", { ...all("from the mirror"), none: LOGIN }, { waitMs: 60_000 }],
  [
    "not yet mirrored and public",
    "unmirrored",
    { ...all("from the primary"), extraHeader: "from the mirror" },
    { waitMs: 60_000 },
  ],
  ["paused", "vault", { ...all(PAUSED), none: LOGIN }, { selection: { disabled: true } }],
  [
    "paused and public",
    "site",
    { ...all("from the primary"), extraHeader: PAUSED },
    { selection: { disabled: true } },
  ],
  [
    "paused and public, redirects off",
    "site",
    all(PAUSED),
    { selection: { disabled: true }, redirects: false },
  ],
  [
    "paused before its first sync",
    "unmirrored",
    { ...all(PAUSED), none: LOGIN },
    { selection: { disabled: true } },
  ],
  ["deselected", "vault", { ...all(DESELECTED), none: LOGIN }, { selection: { exclude: ["vault"] } }],
  [
    "of a removed workspace",
    "vault",
    { ...all(DESELECTED), none: LOGIN },
    { selection: { removedAt: "2026-11-01T00:00:00Z" } },
  ],
])("a clone of a repository that is %s", (state, slug, row, options) => {
  test.each(WAYS)("with %s", async (way) => {
    const isPublic = state.includes("public");
    if (slug === "unmirrored") await reserveUnmirrored(mirror, { isPublic });
    if (isPublic) setPublic(slug);
    const isRedirected = row[way] === "from the primary";
    await serve({
      requests: { request: async () => void (isRedirected || syncUnmirrored(mirror)) },
      ...options,
    });
    const expected = row[way];
    const result = await clone(way, slug);
    if (typeof expected === "string") expect(result).toBe(expected);
    else expect(result).toMatch(expected);
  });
});

describe.each(["relay", "redirect"] as const)("a push, %s", (kind) => {
  const row: Row =
    kind === "relay"
      ? { ...all("pushed"), none: LOGIN }
      : // git sends no credential before the redirect, and the one in the URL is not for the other host.
        { ...all(LOGIN), helper: "pushed" };

  async function expectPush(way: Way, slug: string): Promise<void> {
    const source = newPath();
    await git(["clone", "--quiet", "--bare", mirror.primary("vault"), source]);
    const branch = `pushed-${pathCount}`;
    const { options, at } = await credentialOf(way, slug);
    const { exitCode, stderr } = await tryGit([...options, "push", at, `main:refs/heads/${branch}`], {
      cwd: source,
    });
    const expected = row[way];
    if (typeof expected !== "string") {
      expect([exitCode === 0, stderr]).toEqual([false, expect.stringMatching(expected)]);
      return;
    }
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("new branch")]);
    const cwd = mirror.primary(slug === "old-name" ? "new-name" : slug);
    expect(await git(["rev-parse", branch], { cwd })).toBe(await git(["rev-parse", "main"], { cwd: source }));
  }

  test.each(
    WAYS.flatMap((way) =>
      ["vault", "unmirrored", "new-name", "old-name"].map((slug) => [way, slug] as const),
    ),
  )("with %s, to %s", async (way, slug) => {
    await serve({ push: kind });
    await expectPush(way, slug);
  });

  test.each(WAYS)("with %s, while the mirror is paused", async (way) => {
    await serve({ push: kind, selection: { disabled: true } });
    await expectPush(way, "vault");
  });
});
