/**
 * What an answer costs a process that has served nothing: rounds and requests to the store, bytes read, CPU and wall time,
 * with 70 ms a request to the store. `npm run measure:cold [folder] [request...]`; the folder keeps repository and store for the next
 * run, and may have a `repository.git` of its own, with one pack. `NEARSIDE_MEASURED_COMMITS` makes one of another size: 40,000 commits have
 * 720,000 objects. Fetches are asked for as git does: up to 16 haves, without `done`.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { prepareRecent } from "../../lib/sync/prepare-repository.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";
import { DelayedBlobStore } from "../bench/delayed-blob-store.ts";
import { readHead, readRefs } from "../support/git/mirror-builder.ts";
import { git } from "../support/git/run-git.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { writeName } from "../support/named-repository.ts";
import { OPEN_ACCESS } from "../support/open-access.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";

const UUID = "0a1b2c3d-0000-4000-8000-000000000002";
const STORE_DELAY_MS = 70;
const FILE_COUNT = 12_000;
const COMMIT_COUNT = Number(process.env["NEARSIDE_MEASURED_COMMITS"] ?? 4000);
const RUNS = 3;

interface Measured {
  readonly rounds: number;
  readonly requests: number;
  readonly storeBytes: number;
  readonly cpuMs: number;
  /** Of the pack. */
  readonly firstByteMs: number;
  readonly wallMs: number;
  readonly answerBytes: number;
  readonly peakBytes: number;
}

interface RequestShape {
  /** After the wants. */
  readonly lines: readonly string[];
  /** Default: the main branch. */
  readonly tips?: "all";
  /** Whether it looks for a recipe or a shared answer, and keeps one. */
  readonly keepsAnswers?: boolean;
  /** The client has the main branch as it was before so many commits of its first-parent line. */
  readonly behind?: number;
}

/** By name; one that ends in "is made" leaves what the next one finds. */
const REQUESTS: Readonly<Record<string, RequestShape>> = {
  "nothing new": { lines: [], behind: 0 },
  "behind 1": { lines: [], behind: 1 },
  "behind 10": { lines: [], behind: 10 },
  "behind 100": { lines: [], behind: 100 },
  "behind 1000": { lines: [], behind: 1000 },
  "blob:none, no recipe": { lines: ["filter blob:none"], tips: "all" },
  "blob:none, recipe is made": { lines: ["filter blob:none"], tips: "all", keepsAnswers: true },
  "blob:none, by recipe": { lines: ["filter blob:none"], tips: "all", keepsAnswers: true },
  "single branch, no recipe": { lines: [] },
  "single branch, recipe is made": { lines: [], keepsAnswers: true },
  "single branch, by recipe": { lines: [], keepsAnswers: true },
  "tree:0": { lines: ["filter tree:0"], tips: "all" },
  "depth 1": { lines: ["deepen 1"] },
  "depth 1 is made": { lines: ["deepen 1"], keepsAnswers: true },
  "depth 1, kept": { lines: ["deepen 1"], keepsAnswers: true },
  "depth 50": { lines: ["deepen 50"] },
  "depth 50 is made": { lines: ["deepen 50"], keepsAnswers: true },
  "depth 50, kept": { lines: ["deepen 50"], keepsAnswers: true },
  "depth 50, blob:none": { lines: ["deepen 50", "filter blob:none"] },
  "tree:2": { lines: ["filter tree:2"] },
};

const [first, ...others] = process.argv.slice(2);
if (first === "--answer") {
  const [folder = "", name = ""] = others;
  const shape = REQUESTS[name];
  if (shape === undefined) throw new Error(`no request is called ${name}`);
  console.log(JSON.stringify(await measureAnswer(folder, shape)));
} else if (first === undefined) {
  await using folder = await temporaryFolder();
  await measureAll(folder.path, Object.keys(REQUESTS));
} else await measureAll(first, others.length === 0 ? Object.keys(REQUESTS) : others);

async function measureAll(folder: string, names: readonly string[]): Promise<void> {
  const repository = join(folder, "repository.git");
  if (!existsSync(repository)) await makeRepository(repository);
  await fillStore(folder, repository);
  console.log(
    "| request | rounds | requests | MB read | CPU ms | first byte ms | wall ms | MB sent | peak MB |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const name of names) {
    const runs: Measured[] = [];
    const isOnce = name.endsWith("is made");
    for (let run = 0; run < (isOnce ? 1 : RUNS); run++) {
      const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--answer", folder, name]);
      if (child.status !== 0) throw new Error(String(child.stderr));
      runs.push(JSON.parse(String(child.stdout)) as Measured);
    }
    const median = (of: (measured: Measured) => number): number =>
      runs.map(of).toSorted((a, b) => a - b)[Math.floor(runs.length / 2)] ?? 0;
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2);
    const cells = [
      median(({ rounds }) => rounds),
      median(({ requests }) => requests),
      megabytes(median(({ storeBytes }) => storeBytes)),
      Math.round(median(({ cpuMs }) => cpuMs)),
      Math.round(median(({ firstByteMs }) => firstByteMs)),
      Math.round(median(({ wallMs }) => wallMs)),
      megabytes(median(({ answerBytes }) => answerBytes)),
      Math.round(median(({ peakBytes }) => peakBytes) / 1e6),
    ];
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

async function measureAnswer(
  folder: string,
  { lines, tips, keepsAnswers = false, behind }: RequestShape,
): Promise<Measured> {
  const store = new CountingBlobStore(
    new DelayedBlobStore(new FsBlobStore(join(folder, "store")), STORE_DELAY_MS),
  );
  const answers = new AnswerSharing({ store, maxKeepingWaitMs: 5000 });
  const blocks = new BlockCache(store);
  const storage = { store, blocks, ...(keepsAnswers && { answers }) };
  const repository = join(folder, "repository.git");
  const head = await git(["rev-parse", "HEAD"], { cwd: repository });
  const wanted = tips === "all" ? (await readRefs(repository, {})).map(({ id }) => id) : [head];
  const wants = new Set(wanted.map((id) => `want ${id}`));
  const asked =
    behind === undefined ? [...wants, ...lines, "done"] : [...wants, ...(await havesOf(repository, behind))];
  const encoded = ["command=fetch", "ofs-delta", "thin-pack", "include-tag", ...asked].map((line) =>
    encodePktLine(`${line}\n`),
  );
  encoded.splice(1, 0, DELIM_PKT);
  const catalog = new RepositoryCatalog(storage);
  const find = (...asked: Parameters<RepositoryCatalog["find"]>) => catalog.find(...asked);
  const handler = gitHttp({ ...OPEN_ACCESS, find, log: SILENT_LOGGER, agent: "nearside/measure" });
  const body = Buffer.concat([...encoded, FLUSH_PKT]);
  const startedMs = performance.now();
  const startedCpu = process.cpuUsage();
  const answer = await handler({
    method: "POST",
    path: "/acme/sample/git-upload-pack",
    query: new URLSearchParams(),
    headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
    body: (async function* () {
      yield body;
    })(),
    signal: new AbortController().signal,
  });
  let answerBytes = 0;
  let firstByteMs: number | undefined;
  for await (const chunk of answer.body) {
    if (Buffer.from(chunk).includes("PACK")) firstByteMs ??= performance.now() - startedMs;
    answerBytes += chunk.length;
  }
  const wallMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(startedCpu);
  const { rounds, requests, bytesRead } = store.counts();
  return {
    ...{ rounds, requests, storeBytes: bytesRead, cpuMs: (user + system) / 1000, wallMs, answerBytes },
    firstByteMs: firstByteMs ?? wallMs,
    peakBytes: peakMemoryBytes(),
  };
}

/** Since the program began; `resourceUsage` has its parent's as well. Source: proc_pid_status(5). */
function peakMemoryBytes(): number {
  const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
  return Number(kilobytes) * 1024;
}

/** What git's first request names, of a client with one branch. */
async function havesOf(repository: string, behind: number): Promise<string[]> {
  const ids = await git(["rev-list", "--max-count=16", `HEAD~${behind}`], { cwd: repository });
  return ids.split("\n").map((id) => `have ${id}`);
}

async function fillStore(folder: string, repository: string): Promise<void> {
  const store = new FsBlobStore(join(folder, "store"));
  const packFolder = join(repository, "objects/pack");
  const pack = (await readdir(packFolder)).find((name) => name.endsWith(".pack"));
  if (pack === undefined) throw new Error("the repository has no pack");
  const [head, refs] = [await readHead(repository), await readRefs(repository, {})];
  const upstream = {
    listRefs: async () => ({ protocol: 2 as const, head, refs }),
    fetchPack: () => createReadStream(join(packFolder, pack)),
  };
  const storage = { store, blocks: new BlockCache(store) };
  await syncRepository(UUID, {
    storage,
    upstream,
    log: SILENT_LOGGER,
    temporaryFolder: join(folder, "incoming"),
  });
  await prepareRecent(UUID, { storage, log: SILENT_LOGGER });
  await writeName(store, "acme", "sample", UUID);
  await rmAnswers(store);
}

/** What an earlier run has kept. */
async function rmAnswers(store: FsBlobStore): Promise<void> {
  for await (const { key } of store.list(repositoryKeys(UUID).answerFolder)) await store.delete(key);
}

/** Text in folders four deep, changed here and there, with a branch of some commits beside each thousand of the main one. */
async function makeRepository(repository: string): Promise<void> {
  await mkdir(repository, { recursive: true });
  await git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const random = sequence(7);
  const versions = Array.from({ length: FILE_COUNT }, () => 0);
  const put = (file: number): string => {
    const text = textOf(file, versions[file] ?? 0);
    const path = `part-${file % 12}/module-${file % 97}/area-${file % 5}/file-${file}.txt`;
    return `M 100644 inline ${path}\ndata ${text.length}\n${text}\n`;
  };
  const commit = function* (number: number): Generator<string, void> {
    const isSide = number % 1000 > 990;
    const ref = isSide ? `refs/heads/side-${Math.floor(number / 1000)}` : "refs/heads/main";
    const isFirstOfSide = number % 1000 === 991;
    const isBackOnMain = number > 0 && number % 1000 === 0;
    const from =
      isFirstOfSide || (!isSide && number > 0) ? `from :${isBackOnMain ? number - 9 : number}\n` : "";
    yield `commit ${ref}\nmark :${number + 1}\ncommitter A <a@example.com> ${1_700_000_000 + number * 60} +0000\n`;
    yield `data 7\nchange\n${from}`;
    if (number === 0) for (let file = 0; file < FILE_COUNT; file++) yield put(file);
    for (let change = 0; number > 0 && change < 4; change++) {
      const file = Math.floor(random() * FILE_COUNT);
      versions[file] = number;
      yield put(file);
    }
  };
  const stream = function* (): Generator<string, void> {
    for (let number = 0; number < COMMIT_COUNT; number++) yield [...commit(number)].join("");
    yield "done\n";
  };
  const child = spawn("git", ["fast-import", "--quiet", "--done"], {
    ...{ cwd: repository, stdio: ["pipe", "ignore", "inherit"] },
  });
  await pipeline(Readable.from(stream()), child.stdin);
  const [status] = await once(child, "close");
  if (status !== 0) throw new Error(`git fast-import ended with ${status}`);
  await git(["repack", "-adfq", "--depth=50", "--window=10"], { cwd: repository });
}

function textOf(file: number, version: number): string {
  const random = sequence(file + 1);
  const lines = Array.from({ length: 30 + (file % 50) }, (_, line) => {
    const words = Array.from({ length: 8 }, () => Math.floor(random() * 1e6).toString(36));
    return `${line === version % 30 ? version : ""} ${words.join(" ")}`;
  });
  return lines.join("\n");
}

/** @returns Numbers from 0 up to 1, the same ones for the same seed. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
