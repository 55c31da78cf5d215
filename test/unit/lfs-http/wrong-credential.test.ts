/** A client that sends a refused credential again and again is stopped, and no other is. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { CREDENTIALS, type GuardedMirror, startGuardedMirror } from "../../support/guarded-mirror.ts";

let mirror: GuardedMirror;

beforeAll(async () => {
  mirror = await startGuardedMirror();
});
beforeEach(() => mirror.reset());
afterAll(() => mirror.close());

const WRONG = CREDENTIALS["wrong password"];

async function batch(slug: string, authorization: string | undefined) {
  const response = await fetch(`${mirror.url()}/acme/${slug}.git/info/lfs/objects/batch`, {
    method: "POST",
    headers: authorization === undefined ? {} : { authorization },
    body: '{"operation":"download","objects":[]}',
  });
  const { status, headers } = response;
  const type = headers.get("content-type");
  const { message } = (await response.json()) as { message?: string };
  return {
    status,
    type,
    message,
    retryAfter: headers.get("retry-after"),
    challenge: headers.get("www-authenticate") ?? headers.get("lfs-authenticate"),
  };
}

const type = "application/vnd.git-lfs+json";

test("401 once, which makes git-lfs drop a stored credential, then 403, and the primary is asked little", async () => {
  expect(await batch("vault", WRONG)).toMatchObject({
    status: 401,
    type,
    challenge: expect.stringContaining("Basic"),
  });
  for (let i = 0; i < 200; i++)
    expect(await batch("vault", WRONG)).toMatchObject({ status: 403, type, challenge: null });
  expect((await batch("vault", WRONG)).message).toMatch(/^Bitbucket says: .*a moment ago$/);
  expect(mirror.checks()).toBeLessThan(3);
  mirror.pass(61);
  expect(await batch("vault", WRONG)).toMatchObject({ status: 401 });
});

test("for that repository only, and for that credential", async () => {
  for (const slug of ["vault", "vault", "new-name"]) await batch(slug, WRONG);
  expect(await batch("site", WRONG)).toMatchObject({ status: 401 });
  expect(await batch("vault", CREDENTIALS["expired API token"])).toMatchObject({ status: 401 });
  expect(await batch("vault", CREDENTIALS["access token"])).toMatchObject({ status: 200 });
});

test("what is refused for lack of a credential is challenged each time", async () => {
  for (let i = 0; i < 5; i++) expect(await batch("vault", undefined)).toMatchObject({ status: 401 });
});

test("git's own requests are 401 for longer, and git-lfs's first one after them still is", async () => {
  const infoRefs = "/acme/vault.git/info/refs?service=git-upload-pack";
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) statuses.push(await mirror.statusOf(infoRefs, WRONG));
  expect(statuses.slice(0, 30)).toEqual(Array.from({ length: 30 }, () => 401));
  expect(statuses.slice(30)).toEqual(Array.from({ length: 10 }, () => 403));
  expect(await batch("vault", WRONG)).toMatchObject({ status: 401 });
});

test("no right to read is 404, and an undecided primary is 429, for which git-lfs waits", async () => {
  expect(await batch("vault", CREDENTIALS["API token without rights"])).toMatchObject({ status: 404, type });
  mirror.fake.controls.misbehave({ failWithStatus: 503 });
  expect(await batch("vault", CREDENTIALS["API token of a writer"])).toMatchObject({
    status: 429,
    type,
    retryAfter: expect.stringMatching(/^\d+$/),
    challenge: null,
  });
});
