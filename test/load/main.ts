/** What hostile and heavy callers cost the server and its other callers: `npm run load`. Linux only. */
import { fork } from "node:child_process";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { fetchV2, lsRefs, type Received, type SentRequest, send } from "./git-request.ts";
import type { Asked, AttackersMessage, AttackOrder } from "./load-target.ts";
import { type LoadedMirror, startLoadedMirror } from "./loaded-mirror.ts";
import { BlockWatch } from "./longest-block.ts";
import { SHAPES } from "./shapes.ts";

const HONEST_PAUSE_MS = 50;
const HONEST_MAX_MS = 60_000;
/** What one shape left behind is over before the next begins, and then its memory is measured. */
const REST_MS = 30_000;
const QUIET_MS = 2_000;

interface ShapeReport {
  readonly shape: string;
  readonly requests: number;
  /** How often each status, or `cut` or `timeout`. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Of the server's event loop. */
  readonly longestBlockMs: number;
  /** Of it: for a core that others had. */
  readonly longestBlockQueuedMs: number;
  /** The most CPU time of its thread between two turns: on a busy machine the better figure. */
  readonly longestBlockCpuMs: number;
  /** The same of the process that honest callers and the primary are in: it adds to what they wait. */
  readonly callersBlockMs: number;
  readonly callersBlockQueuedMs: number;
  /** Of an honest caller that asks for refs and a shallow clone in turn. */
  readonly othersSlowestMs: number;
  /** Of new callers, who clone as well; compare `quiet`. */
  readonly newcomersSlowestMs: number;
  /** How often others got something else than 200. */
  readonly othersFailed: number;
  /** Of the server, while the shape ran, and of all else on the machine: with both above the cores' time, all wait for a core. */
  readonly serverCpuSeconds: number;
  readonly othersCpuSeconds: number;
  readonly seconds: number;
  /** Of the server: before, at most, and 30 s after. */
  readonly startMib: number;
  readonly peakMib: number;
  readonly restMib: number;
  readonly primaryRequests: number;
  /** Of the caller with most. */
  readonly primaryRequestsOfCaller: number;
}

const SHAPE_NAMES = SHAPES.map(({ name }) => name);

const command = new Command("load")
  .description("Runs attacks and loads against a mirror on this machine, one after another.")
  .addOption(
    new Option("--shapes <names>", `which, with commas between: ${SHAPE_NAMES.join(", ")}`)
      .argParser(parseShapes)
      .default(SHAPE_NAMES, "all"),
  )
  .option("--profiles <folder>", "write a CPU profile of each shape there; the figures are worse then")
  .option("--runs <count>", "how often each one is run in a row", Number, 1)
  .option("--rest <seconds>", "how long the memory has after a shape to return", Number, REST_MS / 1000)
  .option("--json", "print JSON instead of a table");

function parseShapes(text: string): string[] {
  const chosen = text.split(",");
  if (!chosen.every((name) => SHAPE_NAMES.includes(name)))
    throw new InvalidArgumentError(`Shapes are ${SHAPE_NAMES.join(", ")}.`);
  return chosen;
}

let newcomerCount = 0;

function askAsNewcomer(port: number, requests: readonly Asked[]): Promise<Received[]> {
  const number = newcomerCount++;
  const who = { caller: `newcomer-${number}`, address: `198.51.100.${number}` };
  return Promise.all(requests.map((request) => send(port, { ...request, ...who })));
}

interface ShapeAnswers {
  readonly received: readonly Received[];
  readonly newcomers: readonly Received[];
}

async function attack({ port, ids, apiUrl }: LoadedMirror, shape: string): Promise<ShapeAnswers> {
  const attackers = fork(new URL("./attackers.ts", import.meta.url), { serialization: "advanced" });
  // The machine has few cores: what the attackers take must not delay the server, the primary and honest callers.
  setPriority(attackers.pid ?? 0, constants.priority.PRIORITY_LOW);
  const order = (message: AttackOrder): boolean => attackers.send(message);
  const newcomers: Received[] = [];
  const attacked = new Promise<ShapeAnswers>((resolve, reject) => {
    attackers.once("exit", (code) => reject(new Error(`the attackers ended early: ${code}`)));
    const asNewcomer = async ({
      id,
      requests,
    }: Extract<AttackersMessage, { kind: "ask" }>): Promise<void> => {
      newcomers.push(...(await askAsNewcomer(port, requests)));
      order({ kind: "asked", id });
    };
    attackers.on("message", (message: AttackersMessage) => {
      if (message.kind === "attacked") resolve({ received: message.received, newcomers });
      else asNewcomer(message).catch(reject);
    });
  });
  order({ kind: "attack", shape, port, ids, apiUrl });
  try {
    return await attacked;
  } finally {
    attackers.kill("SIGKILL");
  }
}

async function measure(
  mirror: LoadedMirror,
  shape: string,
  { restMs, profilePath }: { readonly restMs: number; readonly profilePath?: string | undefined },
): Promise<ShapeReport> {
  const honest = new HonestCaller(mirror);
  // Its credential is known, its answers are kept, the code is warm.
  await honest.askOnce();
  await sleep(QUIET_MS);
  const { residentMib: startMib } = await mirror.takeFigures(profilePath);
  callersWatch.take();
  const startedMs = performance.now();
  const answers = honest.askUntilStopped();
  const { received, newcomers } = await attack(mirror, shape);
  honest.stop();
  const others = await answers;
  const seconds = (performance.now() - startedMs) / 1000;
  const figures = await mirror.takeFigures(profilePath);
  const callersBlock = callersWatch.take();
  const { longestBlock, primaryRequests, primaryRequestsOfCaller } = figures;
  await sleep(restMs);
  const { residentMib: restMib } = await mirror.takeFigures();
  const statuses: Record<string, number> = {};
  for (const { status } of received) statuses[status] = (statuses[status] ?? 0) + 1;
  return {
    ...{ shape, requests: received.length, statuses },
    longestBlockMs: Math.round(longestBlock.wallMs),
    longestBlockQueuedMs: Math.round(longestBlock.queuedMs),
    longestBlockCpuMs: Math.round(longestBlock.cpuMs),
    callersBlockMs: Math.round(callersBlock.wallMs),
    callersBlockQueuedMs: Math.round(callersBlock.queuedMs),
    othersSlowestMs: slowestMs(others),
    newcomersSlowestMs: slowestMs(newcomers),
    othersFailed: [...others, ...newcomers].filter(({ status }) => status !== 200).length,
    serverCpuSeconds: Math.round(figures.serverCpuSeconds),
    othersCpuSeconds: Math.round(figures.othersCpuSeconds),
    seconds: Math.round(seconds),
    ...{ startMib: Math.round(startMib), peakMib: Math.round(figures.peakMib), restMib: Math.round(restMib) },
    ...{ primaryRequests, primaryRequestsOfCaller },
  };
}

function slowestMs(answers: readonly Received[]): number {
  return Math.round(Math.max(0, ...answers.map(({ tookMs }) => tookMs)));
}

class HonestCaller {
  readonly #mirror: LoadedMirror;
  #isStopped = false;

  constructor(mirror: LoadedMirror) {
    this.#mirror = mirror;
  }

  async askOnce(): Promise<Received[]> {
    const { port, ids } = this.#mirror;
    const caller = { caller: "honest", maxMs: HONEST_MAX_MS };
    const requests: SentRequest[] = [
      { ...caller, ...lsRefs("sample") },
      { ...caller, ...fetchV2("sample", [`want ${ids.sampleTip}`, "deepen 1", "done"]) },
    ];
    const answers: Received[] = [];
    for (const request of requests) answers.push(await send(port, request));
    return answers;
  }

  async askUntilStopped(): Promise<Received[]> {
    const answers: Received[] = [];
    while (!this.#isStopped) {
      answers.push(...(await this.askOnce()));
      await sleep(HONEST_PAUSE_MS);
    }
    return answers;
  }

  stop(): void {
    this.#isStopped = true;
  }
}

function formatTable(reports: readonly ShapeReport[]): string {
  const header = [
    "shape",
    "requests",
    "answers",
    "longest block ms",
    "its CPU ms",
    "others' slowest ms",
    "newcomers'",
    "others failed",
  ];
  const rows = reports.map((report) => [
    report.shape,
    report.requests,
    Object.entries(report.statuses)
      .map(([status, count]) => `${count} × ${status}`)
      .join(", "),
    ...[
      report.longestBlockMs,
      report.longestBlockCpuMs,
      report.othersSlowestMs,
      report.newcomersSlowestMs,
      report.othersFailed,
    ],
    `${report.serverCpuSeconds} + ${report.othersCpuSeconds} in ${report.seconds}`,
    `${report.startMib} / ${report.peakMib} / ${report.restMib}`,
    `${report.primaryRequests}, ${report.primaryRequestsOfCaller}`,
  ]);
  const all = [
    ...header,
    "CPU s: server + all else in s",
    "MiB: start / peak / 30 s after",
    "requests to the primary, most of a caller",
  ];
  return [all, all.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

interface LoadOptions {
  readonly shapes: readonly string[];
  readonly profiles?: string;
  readonly runs: number;
  readonly rest: number;
  readonly json?: true;
}

const callersWatch = new BlockWatch();
const { shapes, profiles, runs, rest, json } = command.parse().opts<LoadOptions>();
const note = (text: string): void => console.error(text);
const mirror = await startLoadedMirror(note);
try {
  const reports: ShapeReport[] = [];
  for (const shape of shapes.flatMap((name) => Array<string>(runs).fill(name))) {
    note(shape);
    const profilePath = profiles && join(profiles, `${shape}.cpuprofile`);
    const report = await measure(mirror, shape, { restMs: rest * 1000, profilePath });
    reports.push(report);
    note(JSON.stringify(report));
  }
  console.log(json ? JSON.stringify(reports, null, 2) : formatTable(reports));
} finally {
  await mirror.close();
}
