/** Every kind of credential against every state of a repository: the mirror's answer is the primary's own. */
import { createHash } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";
import {
  CREDENTIALS,
  type CredentialKind,
  type GuardedMirror,
  startGuardedMirror,
} from "../support/guarded-mirror.ts";

let mirror: GuardedMirror;

const KINDS = Object.keys(CREDENTIALS) as CredentialKind[];
const STATES = ["site", "vault", "nothing", "unmirrored", "deleted", "old-name", "new-name"] as const;

/** Those that there are at the primary. */
const PRIMARYS: readonly string[] = ["site", "vault", "unmirrored", "new-name"];

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

async function listRefs(url: string, kind: CredentialKind): Promise<Answered> {
  const authorization = CREDENTIALS[kind];
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/x-git-upload-pack-request",
      "git-protocol": "version=2",
      ...(authorization !== undefined && { authorization }),
    },
    body: "0014command=ls-refs\n00010009peel\n000csymrefs\n0000",
  });
  return answered(response);
}

/** As git-lfs does: a redirect is followed with the body, and with the credential for the other host. */
async function askForFiles(url: string, kind: CredentialKind): Promise<Answered> {
  const authorization = CREDENTIALS[kind];
  const response = await fetch(url, {
    method: "POST",
    redirect: "manual",
    headers: {
      "content-type": "application/vnd.git-lfs+json",
      ...(authorization !== undefined && { authorization }),
    },
    body: JSON.stringify({ operation: "download", objects: [{ oid: "0".repeat(64), size: 1 }] }),
  });
  const location = response.headers.get("location");
  if (location !== null) {
    await response.body?.cancel();
    return askForFiles(location, kind);
  }
  const challenge = response.headers.get("lfs-authenticate")?.split(" ")[0] ?? null;
  return { status: response.status, challenge, text: await response.text() };
}

/**
 * As git pushes a new branch: redirects of its first request are followed, and what is left of the address then takes the
 * push itself.
 * @returns What was answered, and in which repositories the branch is afterwards.
 */
async function push(repositoryUrl: string, kind: CredentialKind, branch: string) {
  const authorization = CREDENTIALS[kind];
  const headers = { ...(authorization !== undefined && { authorization }) };
  let url = `${repositoryUrl}/info/refs?service=git-receive-pack`;
  let response = await fetch(url, { headers, redirect: "manual" });
  for (let location = response.headers.get("location"); location !== null; ) {
    await response.body?.cancel();
    url = location;
    response = await fetch(url, { headers, redirect: "manual" });
    location = response.headers.get("location");
  }
  const listed = await answered(response);
  const id = /([0-9a-f]{40}) refs\/heads\/main/.exec(listed.text)?.[1];
  const pushed = id === undefined ? undefined : await pushBranch(url, headers, branch, id);
  return { status: listed.status, challenge: listed.challenge, pushed, ...(await takeBranch(branch)) };
}

async function pushBranch(
  infoRefsUrl: string,
  headers: Readonly<Record<string, string>>,
  branch: string,
  id: string,
): Promise<number> {
  const command = `${"0".repeat(40)} ${id} refs/heads/${branch}\0report-status`;
  const lines = [encodePktLine(command), FLUSH_PKT];
  const response = await fetch(infoRefsUrl.replace(/\/info\/refs\?.*$/, "/git-receive-pack"), {
    method: "POST",
    headers: { ...headers, "content-type": "application/x-git-receive-pack-request" },
    body: Buffer.concat([...lines, EMPTY_PACK]),
  });
  await response.arrayBuffer();
  return response.status;
}

const EMPTY_PACK = (() => {
  const header = Buffer.from([0x50, 0x41, 0x43, 0x4b, 0, 0, 0, 2, 0, 0, 0, 0]);
  return Buffer.concat([header, createHash("sha1").update(header).digest()]);
})();

/** Takes the branch away again: a file, as it was just pushed. */
async function takeBranch(branch: string): Promise<{ readonly found: readonly string[] }> {
  const found: string[] = [];
  for (const slug of PRIMARYS) {
    const file = join(mirror.primary(slug), "refs/heads", branch);
    const isThere = await stat(file).then(
      () => true,
      () => false,
    );
    if (!isThere) continue;
    found.push(slug);
    await rm(file);
  }
  return { found };
}

describe.each([
  { primary: "takes uuids in paths, pushes are relayed", takesUuids: true, push: "relay" },
  { primary: "takes names only, pushes are redirected", takesUuids: false, push: "redirect" },
] as const)("a primary that $primary", ({ takesUuids, push: pushes }) => {
  beforeAll(async () => {
    mirror = await startGuardedMirror({ takesUuids, push: pushes });
  });

  afterAll(() => mirror.close());

  // A refused credential may ask five questions a minute.
  beforeEach(() => mirror.pass(60));

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

    test.each(KINDS)("the list of refs of version 2, with %s", async (kind) => {
      const path = `/acme/${slug}.git/git-upload-pack`;
      // Where git goes after the redirect of its first request.
      const primary = await listRefs(mirror.fake.gitUrl + path.replace("old-name", "new-name"), kind);
      const mine = await listRefs(mirror.url() + path, kind);
      expect(mine.status).toBe(expected(primary, slug !== "unmirrored", kind));
      expect(mine.challenge).toBe(mine.status === 401 ? "Basic" : null);
      if (mine.status === 200) expect(mine.text).toBe(primary.text);
    });

    test.each(KINDS)("git-lfs gets the primary's own answer, with %s", async (kind) => {
      const path = `/acme/${slug}.git/info/lfs/objects/batch`;
      // The primary redirects git only: a caller with a former name learns the present one from git.
      const present = path.replace("old-name", "new-name");
      const primary = await askForFiles(`${mirror.fake.gitUrl}${present}`, kind);
      const mine = await askForFiles(`${mirror.url()}${path}`, kind);
      expect(mine.status).toBe(expected(primary, slug !== "unmirrored", kind));
      expect(mine.challenge).toBe(mine.status === 401 ? "Basic" : null);
      if (mine.status === 200) expect(JSON.parse(mine.text)).toEqual(JSON.parse(primary.text));
    });

    test.each(KINDS)("a push ends as at the primary itself, with %s", async (kind) => {
      const path = `/acme/${slug}.git`;
      const mine = await push(`${mirror.url()}${path}`, kind, `mirror-${KINDS.indexOf(kind)}`);
      const direct = await push(`${mirror.fake.gitUrl}${path}`, kind, `direct-${KINDS.indexOf(kind)}`);
      // What is asked about first has a challenge where 410 has none.
      const isAsked = pushes === "relay" && direct.status === 410;
      expect(mine).toEqual(isAsked ? { ...direct, status: 401, challenge: "Basic" } : direct);
      const there = slug === "old-name" ? "new-name" : slug;
      const mayPush = kind === "API token of a writer" && PRIMARYS.includes(there);
      expect(mine.found).toEqual(mayPush ? [there] : []);
    });
  });

  test.each(["info/lfs/objects/batch", "info/refs?service=git-upload-pack"])(
    "no right, unknown, not mirrored and deleted are one and the same answer: %s",
    async (suffix) => {
      const answers = new Set<string>();
      const cases = [
        ["vault", "API token without rights"],
        ["nothing", "API token without rights"],
        ["nothing", "access token"],
        ["unmirrored", "API token of a writer"],
        ["deleted", "API token of a writer"],
      ] as const;
      for (const [slug, kind] of cases) {
        const response = await mirror.get(`/acme/${slug}.git/${suffix}`, CREDENTIALS[kind]);
        const { date: _, ...headers } = Object.fromEntries(response.headers);
        answers.add(JSON.stringify([response.status, headers, await response.text()]));
      }
      expect([...answers]).toHaveLength(1);
    },
  );
});
