/** A process that dies while it copies: at each call of the store and of the primary, before it and after it, and at each chunk of a download. */
import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { keysOf, RIG_UUID } from "../../support/sync-rig.ts";

const CONTENT = randomBytes(500_000);
const OID = createHash("sha256").update(CONTENT).digest("hex");
const KEYS = repositoryKeys(RIG_UUID);

/** Counts the places at which a process waits, and kills it at one of them: nothing that it does after that has an effect. */
class Life {
  #places = 0;
  #killedAt = Number.POSITIVE_INFINITY;
  #end = new AbortController();
  readonly reached: string[] = [];

  /** Ends what only waits. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  begin(killedAt: number): void {
    this.#end = new AbortController();
    this.#places = 0;
    this.#killedAt = killedAt;
    this.reached.length = 0;
  }

  get isKilled(): boolean {
    return this.#places >= this.#killedAt;
  }

  pass(place: string): void {
    if (!this.isKilled) this.reached.push(place);
    this.#places += 1;
    if (!this.isKilled) return;
    this.#end.abort();
    throw new Error(`killed at ${place}`);
  }
}

let primary: Primary;
let store: MemoryBlobStore;
let rig: CopierRig;
const life = new Life();

const faults: BlobFaults = {
  before: ({ kind, key }) => {
    life.pass(`before ${kind} of ${key}`);
    return undefined;
  },
  after: ({ kind, key }) => life.pass(`after ${kind} of ${key}`),
};

const mortalFetch: typeof fetch = async (input, init) => {
  const name = String(input).includes("/batch") ? "batch" : "download";
  life.pass(`before ${name}`);
  const response = await fetch(input, init);
  life.pass(`after ${name}`);
  const chunks = response.body?.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        life.pass(`chunk of ${name}`);
        controller.enqueue(chunk);
      },
    }),
  );
  return new Response(chunks ?? null, { status: response.status, headers: response.headers });
};

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  store = new MemoryBlobStore({ faults });
  life.begin(Number.POSITIVE_INFINITY);
});

afterEach(async () => {
  await rig.sync.close();
  await primary.close();
});

/** What is visible is right, and no right is without its file. */
async function expectRight(): Promise<void> {
  for (const key of await keysOf(store, "lfs/")) {
    const { bytes } = await store.read(key);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(key.slice(key.lastIndexOf("/") + 1));
  }
  if ((await rig.record(OID))?.state === LFS_STATE.stored) expect(await rig.storedOids()).toEqual([OID]);
}

describe.each([
  ["in parts", { aboveBytes: 100_000, partBytes: 120_000, shortSeconds: 0 }, 50],
  ["at once", { aboveBytes: 1_000_000, partBytes: 120_000, shortSeconds: 0 }, 20],
] as const)("copied %s", (_, staging, least) => {
  test("nothing wrong is left, wherever it dies, and the next run heals it", {
    timeout: 120_000,
  }, async () => {
    rig = copierRig(primary, store, {
      staging,
      fetch: mortalFetch,
      get signal() {
        return life.signal;
      },
    });
    await rig.addFile("large.bin", CONTENT);
    await rig.sync.sync();
    const queue = { send: async (messages: readonly QueueMessage[]) => void rig.messages.push(...messages) };
    const places = new Set<string>();
    let deaths = 0;
    for (let isKilled = true; isKilled; deaths++) {
      const files = [{ oid: OID, sizeBytes: CONTENT.length }];
      await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, files);
      life.begin(deaths + 1);
      await rig.runJobs().catch((error: unknown) => {
        if (!life.isKilled) throw error;
      });
      isKilled = life.isKilled;
      for (const place of life.reached) places.add(place.replace(/[0-9a-f-]{30,}.*|\d+/g, ""));
      life.begin(Number.POSITIVE_INFINITY);
      await expectRight();
      await rig.runJobs();
      await expectRight();
      expect((await rig.record(OID))?.state).toBe(LFS_STATE.stored);
      expect(await keysOf(store, "lfs-parts/")).toEqual([]);
      for (const prefix of ["lfs/", KEYS.lfsTableFolder, KEYS.lfsRights])
        for (const key of await keysOf(store, prefix)) await store.delete(key);
    }
    expect(deaths).toBeGreaterThan(least);
    for (const place of [
      "before batch",
      "after batch",
      "chunk of batch",
      "before download",
      "after download",
      "chunk of download",
    ])
      expect(places).toContain(place);
    for (const place of ["before write of lfs/", "after write of lfs/"])
      expect([...places].some((one) => one.startsWith(place))).toBe(true);
  });
});
