/** What callers notice while the primary is away, silent or too busy. */
import { describe, expect, test } from "vitest";
import { CREDENTIALS } from "../support/guarded-mirror.ts";
import { useGuardedMirror } from "../support/shared-set-ups.ts";

const mirror = useGuardedMirror();

const VAULT = "/acme/vault.git/info/refs?service=git-upload-pack";
const READER = CREDENTIALS["API token of a reader, fixed username"];
const STRANGER = CREDENTIALS["API token without rights"];
const ROBOT = CREDENTIALS["access token"];

describe("while the primary is away", () => {
  test("a caller of the last 15 minutes is served with a notice, others get 503, and then all do", async () => {
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    mirror.fake.controls.misbehave({ down: true });
    mirror.pass(14 * 60);
    const stale = await mirror.get(VAULT, READER);
    expect([stale.status, stale.headers.get("x-nearside-access")]).toEqual([200, "stale; age=840"]);
    const other = await mirror.get(VAULT, ROBOT);
    expect([other.status, other.headers.get("retry-after")]).toEqual([503, "10"]);
    expect(await other.text()).toMatch(/^Bitbucket cannot be reached, .*try again in 10 s\n$/);
    // Not for another repository either, though the caller may read it.
    expect(await mirror.statusOf("/acme/new-name.git/info/refs?service=git-upload-pack", READER)).toBe(503);
    mirror.pass(60);
    expect(await mirror.statusOf(VAULT, READER)).toBe(503);
  });

  test("another process knows the last yes, and forgets it once the primary has said no", async () => {
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    mirror.fake.controls.misbehave({ down: true });
    mirror.pass(120);
    const restarted = await mirror.restarted();
    const ask = async () =>
      (await fetch(restarted.url + VAULT, { headers: { authorization: READER } })).status;
    expect(await ask()).toBe(200);
    mirror.fake.controls.behave();
    mirror.setRights("rita", {});
    mirror.pass(60);
    expect(await ask()).toBe(404);
    mirror.fake.controls.misbehave({ down: true });
    mirror.pass(60);
    expect(await ask()).toBe(503);
    expect(await mirror.statusOf(VAULT, STRANGER)).toBe(503);
  });

  test("and says for how long, it is asked nothing before", async () => {
    mirror.fake.controls.misbehave({ failWithStatus: 503, failedForSeconds: 20 });
    const limited = await mirror.get(VAULT, READER);
    expect([limited.status, limited.headers.get("retry-after")]).toEqual([503, "20"]);
    mirror.fake.controls.behave();
    // The question, and two of the mirror's own, asked twice, by which the outage is judged.
    expect(mirror.checks()).toBe(5);
    expect(await mirror.statusOf(VAULT, ROBOT)).toBe(503);
    expect(await mirror.statusOf(VAULT, READER)).toBe(503);
    expect(mirror.checks()).toBe(5);
    mirror.pass(20);
    expect(await mirror.statusOf(VAULT, ROBOT)).toBe(200);
  });

  test("a 5xx is no refusal", async () => {
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    mirror.fake.controls.misbehave({ failWithStatus: 502 });
    mirror.pass(120);
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    expect(await mirror.statusOf(VAULT, ROBOT)).toBe(503);
  });

  test("no caller is served when that is disabled", async () => {
    const strict = await mirror.restarted({ settings: { staleMinutes: 0 } });
    const ask = async () => (await fetch(strict.url + VAULT, { headers: { authorization: READER } })).status;
    expect(await ask()).toBe(200);
    mirror.fake.controls.misbehave({ down: true });
    mirror.pass(60);
    expect(await ask()).toBe(503);
  });
});
