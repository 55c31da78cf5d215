/** A mirror in a process of its own, as its users run it, over a fake Bitbucket; what it costs is measured from outside. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LoadIds, makeLoadRepositories } from "./load-repositories.ts";
import type { LongestBlock } from "./longest-block.ts";

const PROGRAM = fileURLToPath(new URL("../../functions/cli/nearside.js", import.meta.url));
const PROBE = new URL("./event-loop-probe.ts", import.meta.url).href;

/** Names below `acme` at which the primary's git answers nothing, or 500. */
export const HANGING_NAME = "hangs";
export const FAILING_NAME = "fails";
export const WEBHOOK_SECRET = "the webhook secret of a load run";

const many = (name: string): string[] => Array.from({ length: 200 }, (_, number) => `${name}-${number}`);
/** Callers by name, each with its name as token: more than one run needs. */
const CALLER_NAMES = ["owner", "honest", "attacker", ...many("caller"), ...many("newcomer")];

export interface LoadedMirror {
  readonly port: number;
  readonly ids: LoadIds;
  /** Of the primary. */
  readonly apiUrl: string;
  /**
   * Of what has happened since the last call.
   * @param profilePath - For a CPU profile of the same time, if each call names one.
   */
  takeFigures(profilePath?: string): Promise<{
    readonly longestBlock: LongestBlock;
    readonly residentMib: number;
    readonly peakMib: number;
    /** Of the server, and of all else on the machine, callers first of all. */
    readonly serverCpuSeconds: number;
    readonly othersCpuSeconds: number;
    readonly primaryRequests: number;
    /** Of the credential with most of them, but for the mirror's own. */
    readonly primaryRequestsOfCaller: number;
  }>;
  close(): Promise<void>;
}

export async function startLoadedMirror(note: (text: string) => void): Promise<LoadedMirror> {
  const folder = await temporaryFolder();
  const root = join(folder.path, "primary");
  await mkdir(join(root, "acme"), { recursive: true });
  note("making repositories");
  const ids = await makeLoadRepositories(root);
  const callers = CALLER_NAMES.map((name) => ({
    ...{ name, token: name },
    rights: { acme: name === "owner" ? ("admin" as const) : ("read" as const) },
  }));
  const fake = await startFakeBitbucket({ repositoriesFolder: root, accounts: { callers } });
  const front = await startGitFront(fake.gitUrl);
  const port = await freePort();
  const args = [
    ...["--json", "--store", join(folder.path, "store"), "--port", String(port), "--workspace", "acme"],
    ...["--git-url", front.url, "--api-url", fake.apiUrl, "--webhook-url", `http://127.0.0.1:${port}`],
    // Callers of some shapes say where they come from; 1,000 connections of an attacker leave some to others.
    ...["--poll-seconds", "86400", "--max-connections", "4000", "--trusted-proxy", "127.0.0.1"],
  ];
  const { PATH = "" } = process.env;
  note("first sync");
  const child = spawn(process.execPath, ["--import", PROBE, PROGRAM, "serve", ...args], {
    env: {
      PATH,
      BITBUCKET_EMAIL: "owner@example.com",
      BITBUCKET_API_TOKEN: "owner",
      NEARSIDE_WEBHOOK_SECRET: WEBHOOK_SECRET,
      // As the image and the systemd unit have it.
      MALLOC_MMAP_THRESHOLD_: "131072",
    },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const kill = (): boolean => child.kill("SIGKILL");
  process.once("exit", kill);
  await firstLine(child);
  const { pid = 0 } = child;
  let lastCpu = await readCpu(pid);
  return {
    ...{ port, ids, apiUrl: fake.apiUrl },
    async takeFigures(profilePath) {
      const asked = front.takeAsked();
      const primaryRequests =
        fake.controls.requests.filter(({ surface }) => surface !== "git").length + asked.length;
      const primaryRequestsOfCaller = mostFrequent(
        asked.filter((credential) => !credential.endsWith(":owner")),
      );
      fake.controls.clearRequests();
      child.send({ profilePath });
      const [longestBlock] = (await once(child, "message")) as [LongestBlock];
      const cpu = await readCpu(pid);
      const serverCpuSeconds = cpu.server - lastCpu.server;
      const othersCpuSeconds = cpu.machine - lastCpu.machine - serverCpuSeconds;
      lastCpu = cpu;
      return {
        ...{ longestBlock, serverCpuSeconds, othersCpuSeconds },
        ...{ primaryRequests, primaryRequestsOfCaller },
        ...(await takeMemory(pid)),
      };
    },
    async close() {
      const exited = once(child, "exit");
      kill();
      await exited;
      process.off("exit", kill);
      front.close();
      await fake.close();
      await folder.remove();
    },
  };
}

/** The resident set, and the largest since the last call. See proc(5), clear_refs. */
async function takeMemory(pid: number): Promise<{ residentMib: number; peakMib: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  await writeFile(`/proc/${pid}/clear_refs`, "5");
  const mibOf = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
  return { residentMib: mibOf("VmRSS"), peakMib: mibOf("VmHWM") };
}

/** Linux's unit of CPU time in /proc. */
const TICKS_PER_SECOND = 100;

/** CPU seconds of the process, and of the machine since it started: all but idle time. See proc(5). */
async function readCpu(pid: number): Promise<{ server: number; machine: number }> {
  const [ofProcess, ofMachine] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8"),
    readFile("/proc/stat", "utf8"),
  ]);
  const [user, system] = ofProcess.slice(ofProcess.lastIndexOf(")")).split(" ").slice(12, 14).map(Number);
  const [busy = 0, nice = 0, kernel = 0, , , irq = 0, softIrq = 0] = (
    /^cpu +(.*)$/m.exec(ofMachine)?.[1] ?? ""
  )
    .split(" ")
    .map(Number);
  return {
    server: ((user ?? 0) + (system ?? 0)) / TICKS_PER_SECOND,
    machine: (busy + nice + kernel + irq + softIrq) / TICKS_PER_SECOND,
  };
}

async function firstLine(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit").then(() => {
    throw new Error("the mirror ended before it was ready");
  });
  await Promise.race([once(createInterface({ input: child.stdout as Readable }), "line"), ended]);
}

function mostFrequent(credentials: readonly string[]): number {
  const counts = new Map<string, number>();
  for (const credential of credentials) counts.set(credential, (counts.get(credential) ?? 0) + 1);
  return Math.max(0, ...counts.values());
}

interface GitFront {
  readonly url: string;
  /** The credentials of all requests since the last call. */
  takeAsked(): string[];
  close(): void;
}

/** Before the fake's git: passes everything through but the names that hang or fail. */
async function startGitFront(gitUrl: string): Promise<GitFront> {
  const asked: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const { url: path = "", headers } = incoming;
    asked.push(atob(headers.authorization?.slice("Basic ".length) ?? ""));
    if (path.startsWith(`/acme/${HANGING_NAME}`)) return;
    if (path.startsWith(`/acme/${FAILING_NAME}`))
      outgoing.writeHead(500, { "Content-Type": "text/html" }).end("<h1>Something went wrong</h1>");
    else void passThrough(gitUrl, incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    takeAsked: () => asked.splice(0),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function passThrough(
  gitUrl: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = "GET", headers, url = "" } = incoming;
  const onward = request(new URL(url, gitUrl), { method, headers });
  outgoing.once("close", () => onward.destroy());
  const answered = once(onward, "response") as Promise<[IncomingMessage]>;
  await pipeline(incoming, onward);
  const [answer] = await answered;
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  await pipeline(answer, outgoing);
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
