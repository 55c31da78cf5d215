/** All rows of the bench: what each measures, and what the mirror is to reach. */
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { cloneCommandRow } from "./clone-command.ts";
import { coldStartRow } from "./cold-start.ts";
import { firstByteRow } from "./first-byte-cold.ts";
import { openIndexContest } from "./index-contest.ts";
import { openIngestContest } from "./ingest-contest.ts";
import { lfsBatchRow } from "./lfs-batch.ts";
import { LFS_INDEX_ROW } from "./lfs-index.ts";
import { lfsPullRow } from "./lfs-pull.ts";
import { lfsSyncRow } from "./lfs-sync.ts";
import { measurePushVisible } from "./push-visible.ts";
import type { Row } from "./row.ts";
import { behindRow, cloneRow, listRow, nothingNewRow, oneOfManyRow } from "./served-rows.ts";
import { SLICED_IMPORT_ROW } from "./sliced-import.ts";

/** How many pushes, and how often in one run. */
const BEHIND = [
  { pushes: 1, repeats: 5 },
  { pushes: 10, repeats: 5 },
  { pushes: 100, repeats: 3 },
  { pushes: 1000, repeats: 1 },
] as const;

const PULLED = [
  { count: 1_000, sizeBytes: 100_000 },
  { count: 1, sizeBytes: 2 ** 30 },
];

const runtimeClient = findRuntimeClient();

export const ROWS: readonly Row[] = [
  cloneRow("full-clone", {
    args: ["--mirror"],
    goals: { wall: 0.5, cpu: 0.5, memory: 0.4, bytes: 1.02 },
  }),
  cloneRow("eight-full-clones", {
    args: ["--mirror"],
    clients: 8,
    goals: { wall: 0.6 },
  }),
  cloneRow("clone-again", {
    args: ["--mirror"],
    repeats: 5,
    goals: { wall: 0.5, cpu: 0.5 },
  }),
  ...[1, 2, 4].map((processes) =>
    cloneRow(processes === 1 ? "small-clones" : `small-clones-${processes}`, {
      ...{ args: ["--mirror"], of: "small", isWhole: true, clients: 32, repeats: 2, processes },
      goals: { wall: 0.33 },
    }),
  ),
  cloneRow("depth-1", {
    args: ["--bare", "--depth=1"],
    repeats: 5,
    goals: { wall: 0.1, bytes: 1.05 },
  }),
  cloneRow("depth-50", {
    args: ["--bare", "--depth=50", "--single-branch"],
    repeats: 3,
    goals: { wall: 0.5, bytes: 1.1 },
  }),
  cloneRow("blob-none", {
    args: ["--mirror", "--filter=blob:none"],
    goals: { wall: 0.8, bytes: 1.05 },
  }),
  cloneRow("tree-0", {
    args: ["--mirror", "--filter=tree:0"],
    goals: { wall: 0.8, bytes: 1.05 },
  }),
  ...BEHIND.map(({ pushes, repeats }) =>
    behindRow(`behind-${pushes}`, {
      pushes,
      repeats,
      storeOf: (preparations) => preparations.followedStore(),
      goals: { wall: 1, bytesWithoutBitmaps: 1.1 },
    }),
  ),
  ...BEHIND.map(({ pushes, repeats }) =>
    behindRow(`behind-${pushes}-first-pack`, {
      pushes,
      repeats,
      storeOf: (preparations) => preparations.firstPackStore(),
      goals: { wall: 1, bytes: 1 },
    }),
  ),
  nothingNewRow("nothing-new", { wall: 1 }),
  listRow("ls-refs", { wall: 1 }),
  listRow("many-refs-ls", { wall: 0.7, cpu: 0.7 }, "many-refs"),
  oneOfManyRow("many-refs-fetch", { wall: 0.7, cpu: 0.7 }),
  cloneRow("many-refs-clone", {
    args: ["--mirror"],
    of: "many-refs",
    repeats: 3,
    goals: { wall: 0.7, cpu: 0.7 },
  }),
  cloneCommandRow("nearside-clone", { args: ["--no-checkout"], goals: { wall: 0.2 } }),
  cloneCommandRow("nearside-clone-checkout", { args: [], goals: { wall: 0.5 } }),
  cloneCommandRow("nearside-clone-verify", {
    args: ["--no-checkout"],
    ownArgs: ["--verify"],
    goals: { wall: 1 },
  }),
  {
    name: "index",
    goals: { wall: 0.45 },
    isServed: false,
    open: async (preparations) => openIndexContest(preparations.workspace, await preparations.whole()),
  },
  {
    name: "ingest",
    goals: { wall: 0.6 },
    isServed: false,
    open: async (preparations) => {
      const { workspace, storeDelayMs } = preparations;
      return openIngestContest(workspace, await preparations.whole(), storeDelayMs);
    },
  },
  SLICED_IMPORT_ROW,
  { name: "push-visible", goals: { p50Ms: 300, p99Ms: 1500 }, measure: measurePushVisible },
  lfsBatchRow("lfs-batch", "folder"),
  lfsBatchRow("lfs-batch-s3", "s3"),
  lfsPullRow("lfs-pull", PULLED, { throughput: 0.95 }),
  lfsPullRow("lfs-pull-throttled", PULLED, { throughput: 0.95, isThrottled: true }),
  lfsSyncRow([
    { count: 1_000, sizeBytes: 1_000 },
    { count: 1_000, sizeBytes: 30_000 },
    { count: 1_000, sizeBytes: 1_000_000 },
    { count: 1, sizeBytes: 3_000_000_000 },
  ]),
  lfsPullRow("lfs-pull-small", [{ count: 3_000, sizeBytes: 1_000 }], { throughput: 0.9 }),
  LFS_INDEX_ROW,
  coldStartRow("start-authorizer", "authorizer", 100),
  coldStartRow("start-git-http", "gitHttp", 200),
  ...(runtimeClient === undefined ? [] : [firstByteRow(runtimeClient)]),
];
