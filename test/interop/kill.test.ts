/** kill -9 at random instants of a sync: always the old generation or the new one, and the next sync is fine. */
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { git } from "../support/git/run-git.ts";
import { startMirror } from "../support/mirror-process.ts";
import { expectSilentFsck, listRefs, type Primary, startPrimary } from "../support/primary.ts";
import { copyPrefix, keysOf } from "../support/sync-rig.ts";

/** For each of two mirrors. More of them: `NEARSIDE_KILLS=100`. */
const ROUNDS = Number(process.env["NEARSIDE_KILLS"] ?? 12);
/** From the moment when the refs are asked for: about twice what a sync takes, so that kills come after its end as well. */
const MAX_DELAY_MS = 120;

/** Numbers from 0 up to 1, the same for the same seed: a linear congruential generator. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Tally {
  /** Kills that came before the new generation was published. */
  inside: number;
  newGeneration: number;
}

// Two at a time, one for each processor.
test.concurrent.each(["one", "another"])(
  `the mirror of %s repository is killed in ${ROUNDS} syncs`,
  {
    timeout: 240_000 + ROUNDS * 10_000,
  },
  async () => {
    const seed = randomInt(2 ** 31);
    const primary = await startPrimary();
    try {
      const tally = await killAndRestart(primary, seed);
      console.log(`kill.test.ts, seed ${seed}: ${JSON.stringify(tally)} in ${ROUNDS} rounds`);
      expect(tally.inside, `seed ${seed}`).toBeGreaterThan(ROUNDS / 5);
    } finally {
      await primary.close();
    }
  },
);

async function killAndRestart(primary: Primary, seed: number): Promise<Tally> {
  const tally: Tally = { inside: 0, newGeneration: 0 };
  const random = randomOf(seed);
  let mirror = await startMirror(primary.mirrorArguments);
  try {
    for (let round = 1; round <= ROUNDS; round++) {
      const oldRefs = await listRefs(primary.repository);
      await changePrimary(primary, round, random);
      const newRefs = await listRefs(primary.repository);
      await untilAsked(primary);
      const delayMs = random() * MAX_DELAY_MS;
      await sleep(delayMs);
      const { stderr } = await mirror.stop("SIGKILL");
      const where = `round ${round} of seed ${seed}, killed after ${delayMs} ms: ${stderr}`;

      const { copied, served } = await readStore(primary);
      expect([oldRefs, newRefs], where).toContain(copied);
      expect([oldRefs, newRefs], where).toContain(served);
      if (served === oldRefs) tally.inside += 1;
      else tally.newGeneration += 1;

      mirror = await startMirror(primary.mirrorArguments);
      expect(await readStore(primary), where).toEqual({ copied: newRefs, served: newRefs });
    }
  } finally {
    await mirror.stop("SIGKILL");
  }
  return tally;
}

/**
 * A commit; each third time, one that takes the place of another; now and then on a branch of its own. One ref at a time: git
 * lists refs while it changes them one after the other, and the state between would be a third one.
 */
async function changePrimary(primary: Primary, round: number, random: () => number): Promise<void> {
  const parent = round % 3 === 0 ? "main~1" : "main";
  const noise = Array.from({ length: 2_000 }, () => random().toString(36)).join("\n");
  const blob = await git(["hash-object", "-w", "--stdin"], { cwd: primary.repository, input: noise });
  const tree = await git(["mktree"], {
    cwd: primary.repository,
    input: `${await primary.git("ls-tree", parent)}\n100644 blob ${blob}\tround-${round}.txt\n`,
  });
  const commit = await primary.git("commit-tree", tree, "-p", parent, "-m", `round ${round}`);
  const branch = round % 5 === 0 ? `at-round-${round}` : "main";
  await primary.git("update-ref", `refs/heads/${branch}`, commit);
}

/** Waits for a sync that sees the change. */
async function untilAsked({ fake: { controls } }: Primary): Promise<void> {
  controls.clearRequests();
  while (!controls.requests.some(({ path }) => path.endsWith("/info/refs"))) await sleep(1);
}

/** The refs of the store's copied prefix, which git checks, and those that the mirror would serve. */
async function readStore(primary: Primary): Promise<{ copied: string; served: string }> {
  const store = new FsBlobStore(primary.storeFolder);
  const [key = ""] = await keysOf(store, "repos/");
  const uuid = key.split("/")[1] ?? "";
  const copy = primary.newPath();
  await copyPrefix(store, repositoryKeys(uuid).prefix, copy);
  await expectSilentFsck(copy);
  const repository = await openRepository({ store, blocks: new BlockCache(store) }, uuid);
  const { head, refs } = await repository.readRefs();
  const lines = refs.flatMap(({ name, id, peeledId }) => [
    `${id}\t${name}`,
    ...(peeledId === undefined ? [] : [`${peeledId}\t${name}^{}`]),
  ]);
  const target = "ref" in head ? head.ref : "";
  const tip = refs.find(({ name }) => name === target)?.id;
  const served = [`ref: ${target}\tHEAD`, `${tip}\tHEAD`, ...lines].join("\n");
  return { copied: await listRefs(copy), served };
}
