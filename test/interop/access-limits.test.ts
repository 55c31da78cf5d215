/** What callers notice who ask for too much. */
import { expect, test } from "vitest";
import { CREDENTIALS } from "../support/guarded-mirror.ts";
import { useGuardedMirror } from "../support/shared-set-ups.ts";

const mirror = useGuardedMirror();

const VAULT = "/acme/vault.git/info/refs?service=git-upload-pack";
const SITE = "/acme/site.git/info/refs?service=git-upload-pack";
const READER = CREDENTIALS["API token of a reader, fixed username"];

test("a caller who tries out credentials: rejected ones get 429 unasked, and an honest newcomer behind the address is asked about", async () => {
  const { url } = await mirror.restarted({ settings: { wrongCredentialsPerMinute: 3 } });
  const ask = (authorization: string) => fetch(url + VAULT, { headers: { authorization } });
  const guess = (index: number) => ask(`Basic ${btoa(`wanda:guess-secret-${index}`)}`);
  expect((await ask(READER)).status).toBe(200);
  const statuses = [];
  for (let index = 0; index < 5; index++) statuses.push((await guess(index)).status);
  expect(statuses).toEqual([401, 401, 401, 401, 401]);
  expect(mirror.checks()).toBe(6);
  // A no counts for three seconds.
  mirror.clock.nowMs += 4_000;
  const limited = await guess(0);
  expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "56"]);
  expect(await limited.text()).toBe(
    "Bitbucket rejected several credentials from your address; try again in 56 s\n",
  );
  expect(mirror.logged.filter((line) => line.includes('"cause":"guessing"'))).toHaveLength(1);
  expect(mirror.checks()).toBe(6);
  expect((await ask(CREDENTIALS["access token"])).status).toBe(200);
  expect((await ask(READER)).status).toBe(200);
  expect(mirror.checks()).toBe(7);
});

test("one wrong credential for many names: the primary is asked five times, and the caller gets 429", async () => {
  const wrong = CREDENTIALS["wrong password"];
  const statuses = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      mirror.statusOf(`/acme/name-${index}.git/info/refs?service=git-upload-pack`, wrong),
    ),
  );
  expect(statuses.filter((status) => status === 401)).toHaveLength(5);
  expect(statuses.filter((status) => status === 429)).toHaveLength(95);
  expect(mirror.checks()).toBe(5);
  const limited = await mirror.get(VAULT, wrong);
  expect(await limited.text()).toBe(
    "Bitbucket refused or did not answer several requests with this credential; try again in 60 s\n",
  );
  expect(await mirror.statusOf(VAULT, READER)).toBe(200);
});

test("callers without a credential are limited all together, too", async () => {
  const { url } = await mirror.restarted({
    settings: { anonymousPerMinute: 3, anonymousTotalPerMinute: 2 },
  });
  const statuses = [];
  for (let count = 0; count < 3; count++) statuses.push((await fetch(url + SITE)).status);
  expect(statuses).toEqual([200, 200, 429]);
  const limited = await fetch(url + SITE);
  expect(await limited.text()).toContain("too many requests without a credential from your address");
  expect((await fetch(url + SITE, { headers: { authorization: READER } })).status).toBe(200);
});
