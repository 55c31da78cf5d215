/** What callers notice of how the mirror asks the primary: rights that change, and how often it is asked. */
import { describe, expect, test } from "vitest";
import type { AccountsInput } from "../support/fake-bitbucket/accounts.ts";
import { CREDENTIALS, EXPIRED_HINT } from "../support/guarded-mirror.ts";
import { useGuardedMirror } from "../support/shared-set-ups.ts";
import { TOKENS } from "../support/test-credentials.ts";

const mirror = useGuardedMirror();

const VAULT = "/acme/vault.git/info/refs?service=git-upload-pack";
const SITE = "/acme/site.git/info/refs?service=git-upload-pack";
const READER = CREDENTIALS["API token of a reader, fixed username"];
const STRANGER = CREDENTIALS["API token without rights"];
const ROBOT = CREDENTIALS["access token"];

describe("rights", () => {
  test("taken away on the primary are gone here within 60 s, also those of a busy caller", async () => {
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    mirror.setRights("rita", {});
    for (let second = 0; second < 59; second += 7) {
      mirror.pass(second === 0 ? 0 : 7);
      expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    }
    mirror.pass(4);
    expect(await mirror.statusOf(VAULT, READER)).toBe(404);
  });

  test("that are given count once a refusal is three seconds old", async () => {
    expect(await mirror.statusOf(VAULT, STRANGER)).toBe(404);
    mirror.setRights("stranger", { acme: "read" });
    mirror.pass(3);
    expect(await mirror.statusOf(VAULT, STRANGER)).toBe(200);
  });

  test("of a public repository that was hidden are gone for the anonymous, too", async () => {
    expect(await mirror.statusOf(SITE)).toBe(200);
    mirror.fake.controls.replaceAccounts({
      ...mirror.accounts,
      repositories: { ...mirror.accounts.repositories, "acme/site": { public: false } },
    });
    mirror.pass(60);
    expect(await mirror.statusOf(SITE)).toBe(401);
  });

  test("survive a 401 that the primary gives to a valid token now and then", async () => {
    mirror.fake.controls.misbehave({ unauthorizedEvery: 2 });
    for (let round = 0; round < 4; round++) {
      expect(await mirror.statusOf(VAULT, READER)).toBe(200);
      mirror.pass(60);
    }
    expect(mirror.fake.controls.requests.some(({ status }) => status === 401)).toBe(true);
  });

  test("of a credential that was revoked end after two questions, and another process says the same", async () => {
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    const callers = (mirror.accounts.callers ?? []).filter(({ name }) => name !== "rita");
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, callers });
    mirror.pass(60);
    expect(await mirror.statusOf(VAULT, READER)).toBe(401);
    expect(mirror.checks()).toBe(3);
    const { url } = await mirror.restarted();
    const ask = async () => (await fetch(url + VAULT, { headers: { authorization: READER } })).status;
    expect(await ask()).toBe(401);
    expect(mirror.checks()).toBe(3);
    mirror.pass(5);
    expect(await ask()).toBe(401);
    expect(mirror.checks()).toBe(4);
  });

  test("are asked for once if the credential was never accepted", async () => {
    expect(await mirror.statusOf(VAULT, CREDENTIALS["wrong password"])).toBe(401);
    expect(mirror.checks()).toBe(1);
  });
});

describe("the primary is asked", () => {
  test("20 times for 500 clones at once with 20 credentials, and not at all for their first requests", async () => {
    const callers = Array.from({ length: 20 }, (_, index) => ({
      name: `job${index}`,
      token: `job-secret-${index}`,
      rights: { acme: "read" },
    })) satisfies AccountsInput["callers"];
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, callers });
    const clone = async (index: number) => {
      const { name, token } = callers[index % 20] ?? { name: "", token: "" };
      const authorization = `Basic ${btoa(`${name}:${token}`)}`;
      const statuses = [await mirror.statusOf(VAULT), await mirror.statusOf(VAULT, authorization)];
      for (let request = 0; request < 2; request++) {
        const response = await fetch(`${mirror.url()}/acme/vault.git/git-upload-pack`, {
          method: "POST",
          headers: {
            authorization,
            "content-type": "application/x-git-upload-pack-request",
            "git-protocol": "version=2",
          },
          body: "0014command=ls-refs\n0000",
        });
        await response.arrayBuffer();
        statuses.push(response.status);
      }
      return statuses.join();
    };
    const outcomes = await Promise.all(Array.from({ length: 500 }, (_, index) => clone(index)));
    expect(new Set(outcomes)).toEqual(new Set(["401,200,200,200"]));
    expect(mirror.checks()).toBe(20);
  });

  test("not again by another process, while a yes is fresh", async () => {
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    const { url } = await mirror.restarted();
    const ask = async () => (await fetch(url + VAULT, { headers: { authorization: READER } })).status;
    mirror.pass(30);
    expect(await ask()).toBe(200);
    expect(mirror.checks()).toBe(1);
    // Counted from when the primary was asked, not from when it was passed on.
    mirror.setRights("rita", {});
    mirror.pass(30);
    expect(await ask()).toBe(404);
  });

  test("no more for a caller with a Retry-After, until that time is over", async () => {
    mirror.fake.controls.misbehave({ rateLimitedForSeconds: 120 });
    const limited = await mirror.get(VAULT, READER);
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "120"]);
    expect(await limited.text()).toContain("Bitbucket limits the rate");
    mirror.fake.controls.behave();
    mirror.pass(60);
    const still = await mirror.get(VAULT, READER);
    expect([still.status, still.headers.get("retry-after")]).toEqual([429, "60"]);
    expect(mirror.checks()).toBe(1);
    expect(await mirror.statusOf(VAULT, ROBOT)).toBe(200);
    mirror.pass(60);
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
  });

  test("in the same steps for what is unknown and what is forbidden, cold and remembered", async () => {
    const steps = async (slug: string, authorization?: string) => {
      mirror.store.reset();
      mirror.fake.controls.clearRequests();
      const status = await mirror.statusOf(
        `/acme/${slug}.git/info/refs?service=git-upload-pack`,
        authorization,
      );
      const { requests, rounds } = mirror.store.counts();
      return { status, requests, rounds, checks: mirror.checks() };
    };
    // Once in 10 s a process also reads whether there is an outage, and of the credential, at the same time as the verdict. One that
    // was never accepted reserves its question, and each refusal is noted.
    expect(await steps("first", STRANGER)).toEqual({ status: 404, requests: 8, rounds: 5, checks: 1 });
    const forbidden = await steps("vault", STRANGER);
    expect(forbidden).toEqual({ status: 404, requests: 6, rounds: 5, checks: 1 });
    expect(await steps("nothing", STRANGER)).toEqual(forbidden);
    expect(await steps("unmirrored", STRANGER)).toEqual(forbidden);
    const remembered = await steps("vault", STRANGER);
    expect(remembered).toEqual({ status: 404, requests: 1, rounds: 1, checks: 0 });
    expect(await steps("nothing", STRANGER)).toEqual(remembered);
    // In another process, which finds in the store what this one has learned.
    const { url } = await mirror.restarted();
    const stepsElsewhere = async (slug: string) => {
      mirror.store.reset();
      mirror.fake.controls.clearRequests();
      const path = `/acme/${slug}.git/info/refs?service=git-upload-pack`;
      const { status } = await fetch(url + path, { headers: { authorization: STRANGER } });
      const { requests, rounds } = mirror.store.counts();
      return { status, requests, rounds, checks: mirror.checks() };
    };
    expect(await stepsElsewhere("first")).toEqual({ status: 404, requests: 4, rounds: 2, checks: 0 });
    const elsewhere = await stepsElsewhere("vault");
    expect(elsewhere).toEqual({ status: 404, requests: 2, rounds: 2, checks: 0 });
    expect(await stepsElsewhere("nothing")).toEqual(elsewhere);
    expect(await stepsElsewhere("unmirrored")).toEqual(elsewhere);
    const anonymous = await steps("vault");
    expect(anonymous).toEqual({ status: 401, requests: 1, rounds: 1, checks: 0 });
    expect(await steps("nothing")).toEqual(anonymous);
    expect(await steps("unmirrored")).toEqual(anonymous);
  });
});

test("what the primary says of a dead credential is passed on", async () => {
  const expired = await mirror.get(VAULT, CREDENTIALS["expired API token"]);
  expect([expired.status, await expired.text()]).toEqual([401, `Bitbucket says: ${EXPIRED_HINT}\n`]);
  const removed = await mirror.get(VAULT, CREDENTIALS["app password"]);
  expect(removed.status).toBe(401);
  expect(await removed.text()).toMatch(/^Bitbucket says: App passwords have been removed/);
});

test("each request leaves one line that says who, what and why, and no credential is written anywhere", async () => {
  await mirror.statusOf(VAULT, READER);
  await mirror.statusOf(VAULT, READER);
  await mirror.statusOf(VAULT, STRANGER);
  await mirror.statusOf(VAULT);
  await mirror.statusOf("/acme/vault.git/info/refs?service=git-receive-pack", READER);
  await mirror.statusOf("/acme/..%2fvault/info/refs", READER);
  const lines = mirror.logged
    .map((text) => JSON.parse(text) as Record<string, unknown>)
    .filter(({ event }) => event === "access:decided");
  const [first, second, third, fourth, fifth, sixth] = lines;
  expect(lines).toHaveLength(6);
  const common = { method: "GET", service: "info-refs", repo: "acme/vault", address: "127.0.0.1" };
  const rita = { caller: expect.stringMatching(/^[0-9a-f]{12}$/), callerName: "rita", isStale: false };
  expect(first).toMatchObject({ ...common, ...rita, verdict: "allowed", source: "primary", ageSeconds: 0 });
  expect(second).toMatchObject({ ...common, ...rita, verdict: "allowed", source: "memory" });
  expect(second?.["caller"]).toBe(first?.["caller"]);
  expect(third).toMatchObject({ ...common, verdict: "refused", source: "primary", status: 404 });
  expect(third?.["caller"]).not.toBe(first?.["caller"]);
  expect(fourth).toMatchObject({ ...common, caller: "anonymous", verdict: "challenged", status: 401 });
  expect(fifth).toMatchObject({ service: "receive-pack", verdict: "to-primary" });
  expect(sixth).toMatchObject({ address: "127.0.0.1", verdict: "no-repository", status: 404 });

  const written = [...mirror.logged];
  for await (const { key } of mirror.store.list("")) {
    written.push(key, Buffer.from((await mirror.store.read(key)).bytes).toString("latin1"));
  }
  expect(written.some((text) => text.startsWith("auth/"))).toBe(true);
  const secrets = Object.values(TOKENS).flatMap((token) => [token, btoa(token)]);
  for (const credential of Object.values(CREDENTIALS)) {
    const value = credential?.split(" ")[1];
    if (value !== undefined && value.length > 3) secrets.push(value);
  }
  for (const secret of secrets) expect(written.filter((text) => text.includes(secret))).toEqual([]);
});
