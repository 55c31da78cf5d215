/** Many processes over one store ask the primary hardly more often than one, and what that costs at the store. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import type { Authorizer } from "../../../lib/auth/authorizer.ts";
import type { ReadQuestion, VerdictStore } from "../../../lib/auth/ports.ts";
import { StoredVerdicts } from "../../../lib/auth/stored-verdicts.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { textBlobs } from "../../../lib/repo/text-blobs.ts";
import { AuthorizerRig, AWAY, KEYS, NO, QUESTION, UNAUTHORIZED, YES } from "../../support/authorizer-rig.ts";

let rig: AuthorizerRig;

beforeEach(() => {
  rig = new AuthorizerRig();
});

const KEY = KEYS.questionKey(QUESTION);
const processes = (count: number) => Array.from({ length: count }, () => rig.process());
const credential = (index: number): ReadQuestion => ({ ...QUESTION, authorization: `Bearer job-${index}` });

/** The primary answers after some time, as it does. */
function answeringSlowly(answer = YES, delayMs = 100): void {
  rig.answer = async () => {
    await sleep(delayMs);
    return answer;
  };
}

/** 500 callers with 20 credentials, spread over the processes. */
async function storm(auths: readonly Authorizer[]): Promise<Set<string>> {
  const kinds = Array.from({ length: 500 }, async (_, index) => {
    const auth = auths[index % auths.length];
    return (await auth?.check(credential(Math.floor(index / 25))))?.kind ?? "";
  });
  return new Set(await Promise.all(kinds));
}

test.each([1, 50, 500])(
  "500 clones at once with 20 credentials over %i processes: 20 checks",
  async (count) => {
    answeringSlowly();
    const auths = processes(count);
    expect(await storm(auths)).toEqual(new Set(["allowed"]));
    expect(rig.asked).toHaveLength(20);
    // And again when the verdicts have expired.
    rig.pass(60_000);
    expect(await storm(auths)).toEqual(new Set(["allowed"]));
    expect(rig.asked).toHaveLength(40);
  },
);

test("500 clones at once with 20 credentials that expired, over 50 processes: each is asked about twice", async () => {
  const auths = processes(50);
  await storm(auths);
  rig.pass(60_000);
  rig.asked.length = 0;
  answeringSlowly(UNAUTHORIZED);
  expect(await storm(auths)).toEqual(new Set(["refused"]));
  expect(rig.asked.filter(({ retried }) => retried)).toHaveLength(20);
  expect(rig.asked).toHaveLength(20);
  expect(await storm(auths)).toEqual(new Set(["refused"]));
  expect(rig.asked).toHaveLength(20);
});

test.each([
  ["no", NO, { kind: "refused", status: 404 }],
  ["401", UNAUTHORIZED, { kind: "refused", status: 401 }],
  ["nothing", AWAY, { kind: "undecided", cause: "unreachable" }],
])("what the primary says is known to all of them: %s", async (_, answer, verdict) => {
  answeringSlowly(answer);
  const verdicts = await Promise.all(processes(50).map((auth) => auth.check(QUESTION)));
  for (const each of verdicts) expect(each).toMatchObject(verdict);
  expect(rig.asked).toHaveLength(1);
});

test("a question costs three reads at once and two writes, a stored verdict the reads, one in memory nothing", async () => {
  const [one, two] = [rig.process(), rig.process()];
  // The first yes to a credential is noted of it as well.
  await one.check({ ...QUESTION, repositoryPath: "acme/other" });
  const cost = async (auth: Authorizer) => {
    rig.store.reset();
    await auth.check(QUESTION);
    const { read, write, requests } = rig.store.counts();
    expect(requests).toBe(read + write);
    return { read, write };
  };
  // Of an outage and of the credential, others' notes are read once in 10 s, at the same time as the verdict.
  rig.pass(10_000);
  expect(await cost(one)).toEqual({ read: 3, write: 2 });
  expect(await cost(two)).toEqual({ read: 3, write: 0 });
  expect(await cost(one)).toEqual({ read: 0, write: 0 });
  expect(await cost(two)).toEqual({ read: 0, write: 0 });
});

test("those who wait look at the store a few times a second", async () => {
  answeringSlowly(YES, 1_000);
  await Promise.all(processes(20).map((auth) => auth.check(QUESTION)));
  const { read, write } = rig.store.counts();
  expect(read).toBeLessThan(20 * 11);
  // All may try to reserve a question of the unknown credential, and five for the claim; then come the answer and notes.
  expect(write).toBeLessThanOrEqual(20 + 5 + 8);
  expect(rig.asked).toHaveLength(1);
});

test("a process that dies while it asks holds up the others for no longer than its claim, and one takes over", async () => {
  const stored = new StoredVerdicts(textBlobs(rig.store), SILENT_LOGGER);
  const dead = { by: "a process that is gone", untilMs: rig.nowMs + 300 };
  await stored.replace(KEY, { version: "absent", claim: dead });
  const limits = { claimMs: 300 };
  answeringSlowly(YES, 50);
  const startMs = performance.now();
  const auths = Array.from({ length: 20 }, () => rig.process({ limits }));
  // The clock stands still: how long the claim was seen counts.
  const verdicts = await Promise.all(auths.map((auth) => auth.check(QUESTION)));
  for (const verdict of verdicts) expect(verdict.kind).toBe("allowed");
  expect(performance.now() - startMs).toBeGreaterThan(250);
  expect(rig.asked).toHaveLength(1);
});

test("a claim from a clock that is far ahead is none", async () => {
  const stored = new StoredVerdicts(textBlobs(rig.store), SILENT_LOGGER);
  const claim = { by: "another process", untilMs: rig.nowMs + 3_600_000 };
  await stored.replace(KEY, { version: "absent", claim });
  const startMs = performance.now();
  await rig.process().check(QUESTION);
  expect(performance.now() - startMs).toBeLessThan(1_000);
});

test("an asker that was overtaken does not put its answer over the later one", async () => {
  const limits = { claimMs: 100 };
  rig.answer = async () => {
    if (rig.asked.length > 1) return NO;
    await sleep(400);
    return YES;
  };
  const slow = rig.process({ limits }).check(QUESTION);
  const next = await rig.process({ limits }).check(QUESTION);
  expect([next.kind, (await slow).kind]).toEqual(["refused", "allowed"]);
  expect((await rig.process().check(QUESTION)).kind).toBe("refused");
  expect(rig.asked).toHaveLength(2);
});

test("a primary that takes longer than a claim lasts is asked by a few processes, and all hear what it said", async () => {
  const limits = { claimMs: 150, firstPollMs: 10, maxPollMs: 50, deadlineMs: 1_500 };
  answeringSlowly(YES, 400);
  const auths = Array.from({ length: 30 }, () => rig.process({ limits }));
  const verdicts = await Promise.all(auths.map((auth) => auth.check(QUESTION)));
  expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(new Set(["allowed"]));
  expect(rig.asked.length).toBeLessThan(6);
});

test("a claim that the store has taken although it says otherwise is recognized, and not waited for", async () => {
  const texts = textBlobs(rig.store);
  let isLost = true;
  // As when a request is repeated below the port, and meets its own first try.
  const replace: VerdictStore["replace"] = async (...write) => {
    const version = await texts.replace(...write);
    if (!isLost) return version;
    isLost = false;
    return undefined;
  };
  const startMs = performance.now();
  expect((await rig.process({ store: { ...texts, replace } }).check(QUESTION)).kind).toBe("allowed");
  expect(performance.now() - startMs).toBeLessThan(1_000);
});

test("an answer whose write met another's that failed is written again, for those who wait for it", async () => {
  const texts = textBlobs(rig.store);
  let writes = 0;
  const replace: VerdictStore["replace"] = async (...write) => {
    if (write[0] !== `auth/${KEYS.questionKey(QUESTION)}`) return texts.replace(...write);
    writes += 1;
    return writes === 2 ? undefined : texts.replace(...write);
  };
  await rig.process({ store: { ...texts, replace } }).check(QUESTION);
  expect(writes).toBe(3);
  expect(await rig.process().check(QUESTION)).toMatchObject({ kind: "allowed", source: "store" });
});

test("no caller waits beyond the time for a decision, whatever claims there are", async () => {
  const texts = textBlobs(rig.store);
  // Another process is always first.
  const store: VerdictStore = { ...texts, replace: async () => undefined };
  const limits = { claimMs: 50, deadlineMs: 400 };
  const verdict = await rig.process({ store, limits }).check(QUESTION);
  expect(verdict).toMatchObject({ kind: "undecided", cause: "busy" });
  expect(rig.asked).toEqual([]);
});
