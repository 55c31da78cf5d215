/** Every kind of credential against every state of a repository: the mirror's answer is the primary's own. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CREDENTIALS,
  type CredentialKind,
  type GuardedMirror,
  startGuardedMirror,
} from "../support/guarded-mirror.ts";

let mirror: GuardedMirror;

beforeAll(async () => {
  mirror = await startGuardedMirror();
});

afterAll(() => mirror.close());

const KINDS = Object.keys(CREDENTIALS) as CredentialKind[];
const STATES = ["site", "vault", "nothing", "unmirrored", "deleted", "old-name", "new-name"] as const;

interface Answered {
  readonly status: number;
  readonly challenge: string | null;
  readonly text: string;
}

async function answered(response: Response): Promise<Answered> {
  const challenge = response.headers.get("www-authenticate")?.split(" ")[0] ?? null;
  return { status: response.status, challenge, text: await response.text() };
}

/** As git does: redirects of the first request are followed. The primary's challenge is what git acts on. */
async function askPrimary(path: string, kind: CredentialKind, headers: Record<string, string> = {}) {
  const authorization = CREDENTIALS[kind];
  const response = await fetch(`${mirror.fake.gitUrl}${path}`, {
    headers: { ...headers, ...(authorization !== undefined && { authorization }) },
  });
  return answered(response);
}

/** What a refusal says differs; 410 means to git's user what 401 means. */
function expected(primary: Answered, isMirrored: boolean, kind: CredentialKind): number {
  if (primary.status === 410) return 401;
  if (primary.status === 200 && !isMirrored) return kind === "anonymous" ? 401 : 404;
  return primary.status;
}

describe.each(STATES)("acme/%s", (slug) => {
  test.each(KINDS)("info/refs in versions 0 and 2, with %s", async (kind) => {
    const path = `/acme/${slug}.git/info/refs?service=git-upload-pack`;
    for (const version of ["version=0", "version=2"]) {
      const headers = { "git-protocol": version };
      const primary = await askPrimary(path, kind, headers);
      const mine = await answered(await mirror.get(path, CREDENTIALS[kind], headers));
      expect(mine.status).toBe(expected(primary, slug !== "unmirrored", kind));
      expect(mine.challenge).toBe(mine.status === 401 ? "Basic" : null);
      if (mine.status !== 200) continue;
      const first = (text: string) => text.split("\n")[0];
      expect(first(mine.text)).toBe(first(primary.text));
      expect(mine.text.match(/[0-9a-f]{40} refs\/\S+/g)).toEqual(
        primary.text.match(/[0-9a-f]{40} refs\/\S+/g),
      );
    }
  });

  test.each(KINDS)("the request for refs and objects is decided as info/refs is, with %s", async (kind) => {
    const authorization = CREDENTIALS[kind];
    const infoRefs = await mirror.get(`/acme/${slug}/info/refs?service=git-upload-pack`, authorization);
    const response = await fetch(`${mirror.url()}/acme/${slug}/git-upload-pack`, {
      method: "POST",
      headers: {
        "content-type": "application/x-git-upload-pack-request",
        "git-protocol": "version=2",
        ...(authorization !== undefined && { authorization }),
      },
      body: "0014command=ls-refs\n0000",
    });
    expect(response.status).toBe(infoRefs.status);
  });

  // Files of git-lfs are not served yet: whoever may read gets 404, and everybody else what git gets.
  test.each(KINDS)("git-lfs is refused as git is, with %s", async (kind) => {
    const authorization = CREDENTIALS[kind];
    const git = await answered(
      await mirror.get(`/acme/${slug}.git/info/refs?service=git-upload-pack`, authorization),
    );
    const response = await fetch(`${mirror.url()}/acme/${slug}.git/info/lfs/objects/batch`, {
      method: "POST",
      headers: {
        "content-type": "application/vnd.git-lfs+json",
        ...(authorization !== undefined && { authorization }),
      },
      body: JSON.stringify({ operation: "download", objects: [] }),
    });
    expect(response.status).toBe(git.status === 200 ? 404 : git.status);
    expect(response.headers.get("lfs-authenticate")?.split(" ")[0]).toBe(
      git.status === 401 ? "Basic" : undefined,
    );
  });

  test.each(KINDS)("a push gets the primary's own answer, with %s", async (kind) => {
    const authorization = CREDENTIALS[kind];
    const path = `/acme/${slug}.git/info/refs?service=git-receive-pack`;
    const redirect = await mirror.get(path, authorization);
    expect(redirect.status).toBe(307);
    const location = redirect.headers.get("location") ?? "";
    expect(location).toBe(`${mirror.fake.gitUrl}${path}`);
    const followed = await fetch(location, {
      headers: { ...(authorization !== undefined && { authorization }) },
    });
    expect(followed.status).toBe((await askPrimary(path, kind)).status);
  });
});

test("no right, unknown, not mirrored and deleted are one and the same answer", async () => {
  const answers = new Set<string>();
  const cases = [
    ["vault", "API token without rights"],
    ["nothing", "API token without rights"],
    ["nothing", "access token"],
    ["unmirrored", "API token of a writer"],
    ["deleted", "API token of a writer"],
    ["site", "API token of a writer"],
  ] as const;
  for (const [slug, kind] of cases) {
    const suffix = slug === "site" ? "info/lfs/objects/batch" : "info/refs?service=git-upload-pack";
    const response = await mirror.get(`/acme/${slug}.git/${suffix}`, CREDENTIALS[kind]);
    const { date: _, ...headers } = Object.fromEntries(response.headers);
    answers.add(JSON.stringify([response.status, headers, await response.text()]));
  }
  expect([...answers]).toHaveLength(1);
});
