/** What a repository with very many files costs: the requests of a copy job, and how fast the primary is asked to confirm them. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LfsPointerTable, LfsPointerWriter } from "../../../lib/git/pack/lfs-pointers.ts";
import { copyFiles } from "../../../lib/lfs/copy-files.ts";
import { type LfsCopyJob, parseLfsJob } from "../../../lib/lfs/lfs-job.ts";
import { planCopies } from "../../../lib/lfs/plan-copies.ts";
import { surveyFiles } from "../../../lib/lfs/survey-files.ts";
import { TransferQueue } from "../../../lib/lfs/transfer-queue.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { NO_RIGHTS } from "../../../lib/repo/lfs-rights-document.ts";
import {
  encodeRightsTable,
  LFS_STATE,
  type LfsRecord,
  RightsTable,
} from "../../../lib/repo/lfs-rights-table.ts";
import type { Repository } from "../../../lib/repo/repository.ts";
import { LfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { git } from "../../support/git/run-git.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

const DAY_SECONDS = 24 * 60 * 60;

describe("a repository with 50,000 pointers", () => {
  const COUNT = 50_000;
  let primary: Primary;
  let rig: CopierRig;
  const store = new CountingBlobStore(new MemoryBlobStore());

  beforeAll(async () => {
    primary = await startPrimary({ make: makeEmptyRepository });
    const entries = Array.from({ length: COUNT }, (_, i) => {
      const oid = createHash("sha256").update(String(i)).digest("hex");
      const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 10\n`;
      return `M 100644 inline ${i % 100}/${i}.bin\ndata ${pointer.length}\n${pointer}\n`;
    });
    const commit = "commit refs/heads/main\ncommitter A <a@example.com> 1800000000 +0000\ndata 1\nm\n";
    const input = commit + entries.join("");
    await git(["fast-import", "--quiet"], { cwd: primary.repository, input });
    rig = copierRig(primary, store);
    await rig.sync.sync();
  }, 120_000);

  afterAll(async () => {
    await rig.sync.close();
    await primary.close();
  });

  /** Without what the process has read before. */
  const freshStorage = () => ({ store, blocks: new BlockCache(store) });

  /** Its files are in the store already. */
  async function costOf(job: LfsCopyJob, storage: ReturnType<typeof freshStorage>) {
    for (const { oid } of job.objects) await store.write(lfsFileKey(oid), Buffer.alloc(10));
    store.reset();
    const report = await copyFiles(job, {
      storage,
      primary: {
        ask: async (objects) =>
          new Map(
            objects.map(({ oid, sizeBytes: size }) => [
              oid,
              { oid, size, actions: { download: { href: "https://media.example/" } } },
            ]),
          ),
        open: () => Promise.reject(new Error("there is nothing to transfer")),
      },
      maxFileBytes: Number.POSITIVE_INFINITY,
      transfers: new TransferQueue(96 * 2 ** 20, 8),
      log: SILENT_LOGGER,
      signal: new AbortController().signal,
    });
    expect(report).toMatchObject({ files: 100, copiedFiles: 0 });
    const { requests, bytesRead } = store.counts();
    return { requests: requests - job.objects.length, bytesRead };
  }

  test("a plan makes jobs of neighbours, and a job reads the blocks that they are in", async () => {
    const jobs: LfsCopyJob[] = [];
    await planCopies(
      { kind: "plan", workspace: "acme", uuid: RIG_UUID, queuedAt: new Date().toISOString() },
      {
        storage: freshStorage(),
        queue: {
          send: async (messages) => {
            for (const { body } of messages) jobs.push(parseLfsJob(body) as LfsCopyJob);
          },
        },
        policy: "tips",
        maxFileBytes: Number.POSITIVE_INFINITY,
        log: SILENT_LOGGER,
      },
    );
    expect(jobs).toHaveLength(COUNT / 100);
    const { tables } = (await rig.rights.read()).document;
    expect(tables.map(({ records }) => records)).toEqual([20_000, 20_000, 10_000]);
    const oids = jobs.flatMap(({ objects }) => objects.map(({ oid }) => oid));
    expect(oids).toEqual(oids.toSorted());

    const storage = freshStorage();
    const [first, second] = jobs as [LfsCopyJob, LfsCopyJob];
    const cold = await costOf(first, storage);
    // manifest, lfs.json, a block of the sidecar and of each of three tables; notes of sweeps three times; the new table, and
    // lfs.json read and written. One request more for each file, whether its bytes are there.
    expect(cold.requests).toBe(12);
    expect(cold.bytesRead).toBeLessThan(2 * 2 ** 20);
    const warm = await costOf(second, storage);
    // The new table.
    expect(warm.requests).toBe(9);
    expect(warm.bytesRead).toBeLessThan(40_000);
    const far = await costOf(jobs.at(-1) as LfsCopyJob, freshStorage());
    expect(far.requests).toBeLessThanOrEqual(16);
  });
});

test("1,000,000 files are confirmed within a week of plans, and no plan asks for more than a fifth", async () => {
  const COUNT = 1_000_000;
  const TABLES = 10;
  const oid = Buffer.alloc(38);
  const numbered = (i: number): Buffer => {
    oid.writeUIntBE(i * 2 ** 28, 0, 6);
    oid.writeUIntBE(1, 32, 6);
    return oid;
  };
  const writer = new LfsPointerWriter(COUNT);
  for (let i = 0; i < COUNT; i++) writer.add(i, numbered(i), 0);
  const pointers = await LfsPointerTable.open(await writer.encode(), COUNT);
  const tables: RightsTable[] = [];
  const copiedAt = 20_000 * DAY_SECONDS;
  for (let part = 0; part < TABLES; part++) {
    const records = Array.from({ length: COUNT / TABLES }, (_, i): LfsRecord => {
      const hex = numbered(part * (COUNT / TABLES) + i).toString("hex", 0, 32);
      return { oid: hex, sizeBytes: 1, state: LFS_STATE.stored, tries: 0, seconds: copiedAt };
    });
    tables.push(await RightsTable.open((await encodeRightsTable(records)).bytes));
  }
  const repository = { manifest: { refs: { sha256: "refs" } } } as Repository;
  const packs = [{ pack: { id: "pack" } as never, pointers }];
  const options = { policy: "tips", maxFileBytes: 10 } as const;
  const planned: number[] = [];
  let duePlannedAt: string | undefined;
  for (let day = 7; day <= 12; day++) {
    const seconds = copiedAt + day * DAY_SECONDS + 60;
    const survey = () =>
      surveyFiles({ repository, packs }, new LfsRights({ ...NO_RIGHTS, duePlannedAt }, tables), {
        ...options,
        nowMs: seconds * 1000,
      });
    const { due, pointers: count, hasUnpointed } = await survey();
    expect({ count, hasUnpointed }).toEqual({ count: COUNT, hasUnpointed: false });
    duePlannedAt = new Date(seconds * 1000).toISOString();
    planned.push(due.confirmations.length);
    // Another plan of that day, as after a push.
    if (day === 7) expect((await survey()).due.confirmations).toEqual([]);
    for (const each of due.confirmations) {
      const number = Number.parseInt(each.oid.slice(0, 12), 16) / 2 ** 28;
      const { records } = tables[Math.floor(number / (COUNT / TABLES))] as RightsTable;
      records.bytes.writeUInt32BE(seconds, records.startOf(number % (COUNT / TABLES)) + 40);
    }
  }
  expect(planned).toEqual([...Array.from({ length: 5 }, () => COUNT / 5), 0]);
}, 180_000);
