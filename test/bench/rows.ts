/** All rows: what each measures, and what the mirror is to reach. */
import { openFetchContest } from "./fetch-contest.ts";
import { openIndexContest } from "./index-contest.ts";
import { openIngestContest } from "./ingest-contest.ts";
import type { Contest } from "./measurement.ts";
import type { Preparations } from "./preparations.ts";
import { verifyPacks } from "./verify-answers.ts";

/** Upper bounds of ratios, mirror over git. */
export interface Goals {
  readonly wall: number;
  readonly cpu?: number;
  readonly memory?: number;
  readonly bytes?: number;
  /** Of git with bitmaps, unless it says otherwise. */
  readonly bytesWithoutBitmaps?: number;
}

export interface Row {
  readonly name: string;
  readonly goals: Goals;
  /** Needs nginx and fcgiwrap. */
  readonly isServed: boolean;
  open(preparations: Preparations): Promise<Contest>;
}

export const ROWS: readonly Row[] = [
  cloneRow("full-clone", {
    args: ["clone", "--quiet", "--mirror"],
    goals: { wall: 0.5, cpu: 0.5, memory: 0.4, bytes: 1.02 },
  }),
  cloneRow("eight-full-clones", {
    args: ["clone", "--quiet", "--mirror"],
    clients: 8,
    goals: { wall: 0.6 },
  }),
  cloneRow("depth-1", {
    args: ["clone", "--quiet", "--bare", "--depth=1"],
    repeats: 5,
    goals: { wall: 0.1, bytes: 1.05 },
  }),
  cloneRow("depth-50", {
    args: ["clone", "--quiet", "--bare", "--depth=50", "--single-branch"],
    repeats: 3,
    goals: { wall: 0.5, bytes: 1.1 },
  }),
  cloneRow("blob-none", {
    args: ["clone", "--quiet", "--mirror", "--filter=blob:none"],
    goals: { wall: 0.8, bytes: 1.05 },
  }),
  cloneRow("tree-0", {
    args: ["clone", "--quiet", "--mirror", "--filter=tree:0"],
    goals: { wall: 0.8, bytes: 1.05 },
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
];

interface CloneRowOptions {
  /** Of git; the URL follows. */
  readonly args: readonly string[];
  readonly goals: Goals;
  readonly repeats?: number;
  readonly clients?: number;
}

/** The last request of a clone of the whole repository. */
function cloneRow(name: string, { args, goals, repeats = 1, clients = 1 }: CloneRowOptions): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace, storeDelayMs, webServer } = preparations;
      const [repository, storeFolder] = [await preparations.whole(), await preparations.wholeStore()];
      const argsBehindUrl = [workspace.path("never-finished.git")];
      const request = await preparations.packRequest({ root: repository.root, args, argsBehindUrl });
      return openFetchContest(
        workspace,
        { repository, storeFolder, storeDelayMs, webServer },
        {
          requests: [request],
          repeats,
          clients,
          verify: (urls) => verifyPacks(workspace, urls, request, NOTHING_HELD),
        },
      );
    },
  };
}

const NOTHING_HELD = { objectFolders: [], tips: [] };
