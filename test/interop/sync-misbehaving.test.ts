/** A primary that misbehaves: each fault a typed error, the last generation served, nothing left over, the next sync fine. */

import { expect, test } from "vitest";
import { basicAuthorization } from "../../lib/bitbucket/credential.ts";
import { type UpstreamGit, upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import {
  LimitExceededError,
  MirrorError,
  NotFoundError,
  StoppedError,
  UpstreamError,
} from "../../lib/errors.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { DEFAULT_SYNC_LIMITS, type SyncLimits } from "../../lib/sync/sync-context.ts";
import { type SyncOptions, type SyncOutcome, syncRepository } from "../../lib/sync/sync-repository.ts";
import type { Misbehaviour } from "../support/fake-bitbucket/controls.ts";
import { listRefs } from "../support/primary.ts";
import { useSyncRig } from "../support/shared-set-ups.ts";
import {
  expectCloneLikePrimary,
  expectNothingLeftOver,
  keysOf,
  RIG_UUID,
  type SyncRig,
  syncRig,
} from "../support/sync-rig.ts";

const { primary, rig } = useSyncRig();
const LIMITS = { answerTimeoutMs: 300, idleTimeoutMs: 10_000, maxRefListBytes: 1_000_000 };

/** A first sync, and then changes of each kind on the primary, with more bytes than the list of refs has. */
async function prepareChanges(): Promise<void> {
  await rig.sync();
  const noise = Array.from({ length: 3000 }, (_, i) => ((i * i * 2_654_435_761) % 1e9).toString(36));
  await primary.commit("main", "noise.txt", noise.join("\n"));
  await primary.commit("fresh", "fresh.txt", "fresh\n");
  await primary.git("branch", "-D", "develop");
  await primary.git("branch", "-f", "pages", "main~2");
}

async function failingSync(failing: SyncRig = rig): Promise<unknown> {
  const url = await rig.serve();
  const before = {
    keys: await keysOf(rig.storage.store),
    refs: await listRefs(url),
    manifest: await rig.manifest(),
  };
  const error: unknown = await failing.sync().then(
    (outcome) => expect.fail(`the sync ended well: ${JSON.stringify(outcome)}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MirrorError);
  const after = {
    keys: await keysOf(rig.storage.store),
    refs: await listRefs(url),
    manifest: await rig.manifest(),
  };
  expect(after).toEqual(before);
  return error;
}

async function expectRecovery(): Promise<void> {
  primary.fake.controls.behave();
  expect(await rig.sync()).toMatchObject({ kind: "published", generation: 2 });
  await expectNothingLeftOver(rig);
  await expectCloneLikePrimary(rig, primary);
  expect(await rig.sync()).toMatchObject({ kind: "unchanged", generation: 2 });
}

const SWITCHES: readonly [string, Partial<Misbehaviour>, object][] = [
  ["401", { unauthorizedEvery: 1 }, { retryable: false, context: { status: 401 } }],
  ["429", { rateLimitedForSeconds: 17 }, { retryable: true, retryAfterSeconds: 17 }],
  ["500", { failWithStatus: 500 }, { retryable: true, context: { status: 500 } }],
  ["503, cut", { failWithStatus: 503, cutAfterBytes: 3 }, { retryable: true, context: { status: 503 } }],
  ["no answer", { down: true }, { retryable: true }],
];

test.each(SWITCHES)("%s to the list of refs", async (_name, faults, expected) => {
  await prepareChanges();
  primary.fake.controls.misbehave({ ...faults, appliesTo: "git" });
  const error = await failingSync();
  expect(error).toBeInstanceOf(UpstreamError);
  expect(error).toMatchObject({
    ...expected,
    ...("context" in expected ? { context: expect.objectContaining(expected.context as object) } : {}),
  });
  await expectRecovery();
});

test.each(SWITCHES.filter(([name]) => name !== "401"))(
  "%s to the request for a pack",
  async (_name, faults) => {
    await prepareChanges();
    const { controls } = primary.fake;
    const upstream = rig.upstream();
    const refs = await upstream.listRefs();
    controls.misbehave({ ...faults, appliesTo: "git" });
    const only = { ...rig, sync: () => syncWith({ ...upstream, listRefs: async () => refs }) };
    expect(await failingSync(only)).toBeInstanceOf(UpstreamError);
    await expectRecovery();
  },
);

test("a right taken away", async () => {
  await prepareChanges();
  const { controls, gitUrl } = primary.fake;
  const { accounts } = controls;
  controls.replaceAccounts({ callers: [{ name: "stranger", token: "stranger-token", rights: {} }] });
  expect(await failingSync()).toMatchObject({ code: "UPSTREAM", retryable: false });
  const asStranger = upstreamGit({
    repositoryUrl: `${gitUrl}/acme/sample.git`,
    authorization: basicAuthorization("stranger", "stranger-token"),
    agent: "nearside/test",
    fetch,
  });
  expect(await failingSync({ ...rig, sync: () => syncWith(asStranger) })).toBeInstanceOf(NotFoundError);
  controls.replaceAccounts(accounts);
  await expectRecovery();
});

test("an answer that does not come in time", async () => {
  await prepareChanges();
  primary.fake.controls.misbehave({ delayMs: 60_000, appliesTo: "git" });
  const impatient = syncRig(primary, rig.storage.store, LIMITS);
  expect(await failingSync(impatient)).toMatchObject({ message: "the primary has fallen silent" });
  await expectRecovery();
});

test("a stream cut at many places", async () => {
  await prepareChanges();
  const { controls } = primary.fake;
  const positions = [...range(0, 1_000, 97), ...range(1_000, 14_000, 499)];
  for (const cutAfterBytes of positions) {
    controls.misbehave({ cutAfterBytes, appliesTo: "git" });
    expect(await failingSync(), `cut after ${cutAfterBytes} bytes`).toBeInstanceOf(UpstreamError);
  }
  await expectRecovery();
});

test("a pack larger than the limit", async () => {
  await prepareChanges();
  const limits = { ...DEFAULT_SYNC_LIMITS, maxPackBytes: 5_000 };
  expect(await failingSync({ ...rig, sync: () => syncWith(rig.upstream(), limits) })).toBeInstanceOf(
    LimitExceededError,
  );
  await expectRecovery();
});

test("a stop while the primary is silent, and one right before publishing", async () => {
  await prepareChanges();
  const stoppedSync = (
    upstream: UpstreamGit,
    onProgress: SyncOptions["onProgress"],
    { signal }: AbortController,
  ) => {
    const { storage } = rig;
    return syncRepository(RIG_UUID, {
      storage,
      upstream,
      log: SILENT_LOGGER,
      signal,
      ...(onProgress && { onProgress }),
    });
  };
  const first = new AbortController();
  const second = new AbortController();
  const upstream = rig.upstream();
  const silent: UpstreamGit = {
    ...upstream,
    async *fetchPack(options) {
      for await (const chunk of upstream.fetchPack(options)) {
        yield chunk.subarray(0, 100);
        setTimeout(() => first.abort(), 50);
        await new Promise(() => {});
      }
    },
  };
  expect(await failingSync({ ...rig, sync: () => stoppedSync(silent, undefined, first) })).toBeInstanceOf(
    StoppedError,
  );
  const stopAtTheEnd: SyncOptions["onProgress"] = ({ phase }) => {
    if (phase === "publishing") second.abort();
  };
  expect(
    await failingSync({ ...rig, sync: () => stoppedSync(rig.upstream(), stopAtTheEnd, second) }),
  ).toBeInstanceOf(StoppedError);
  await expectRecovery();
});

test("protocol 0 for everything", async () => {
  primary.fake.controls.misbehave({ forceProtocolV0: true });
  await prepareChanges();
  await rig.sync();
  await expectCloneLikePrimary(rig, primary);
  await expectNothingLeftOver(rig);
  expect((await rig.manifest()).packs[1]?.sentObjectCount).toBeLessThan(15);
});

function syncWith(upstream: UpstreamGit, limits?: SyncLimits): Promise<SyncOutcome> {
  const { storage } = rig;
  return syncRepository(RIG_UUID, { storage, upstream, log: SILENT_LOGGER, ...(limits && { limits }) });
}

function* range(start: number, end: number, step: number): Generator<number> {
  for (let value = start; value < end; value += step) yield value;
}
