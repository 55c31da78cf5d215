/**
 * Rows of the servers' side: canned requests, sent by a small client that drops the answers. The mirror's server against
 * git-http-backend(1) over the same objects, with bitmaps and once without.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BENCH_SLUG, BENCH_WORKSPACE, type BenchRepository } from "./bench-repository.ts";
import type { CannedRequest } from "./canned-exchange.ts";
import type { ClientOrder, ClientResult } from "./client-child.ts";
import { measureProgram } from "./measured-command.ts";
import { type MeasuredServer, startMirrorServer, startPlainGitServer } from "./measured-server.ts";
import type { Contest, Measurement, Setup } from "./measurement.ts";
import { startNginxGitServer, type WebServerPrograms } from "./nginx-git-server.ts";
import { CPU_RESOLUTION_SECONDS, MemorySampler } from "./process-usage.ts";
import type { Workspace } from "./workspace.ts";

/** Of each request: what S3 and GCS take for a small object. */
const FAR_STORE_DELAY_MS = 70;

export interface ServedSides {
  /** What git serves. */
  readonly repository: BenchRepository;
  /** What the mirror serves: the same. */
  readonly storeFolder: string;
  readonly storeDelayMs: number;
  /** What git is served by; without it, by a small server of our own. */
  readonly webServer: WebServerPrograms | undefined;
}

export interface FetchContestOptions {
  readonly requests: readonly CannedRequest[];
  /** How often in one run; the figures are those of one. Requests that take little time need it. */
  readonly repeats: number;
  /** How many clients at the same time. */
  readonly clients: number;
  /** Of the mirror; 1 unless given. */
  readonly processes?: number;
  /** Further words for the report. */
  readonly setup?: Setup;
  /** @param urls - Of the repository. @throws {Error} The answers do not bring the same about. */
  verify(urls: { readonly mirror: string; readonly git: string }): Promise<void>;
}

export async function openFetchContest(
  workspace: Workspace,
  { repository, storeFolder, storeDelayMs, webServer }: ServedSides,
  { requests, repeats, clients, processes = 1, setup, verify }: FetchContestOptions,
): Promise<Contest> {
  const startGit = (root: string): Promise<MeasuredServer> =>
    webServer === undefined
      ? startPlainGitServer(workspace, root)
      : startNginxGitServer(workspace, webServer, root, clients);
  const mirror = await startMirrorServer(workspace, storeFolder, 0, processes);
  const delayedMirror = await startMirrorServer(workspace, storeFolder, storeDelayMs, processes);
  const git = await startGit(repository.root);
  const gitWithoutBitmaps = await startGit(repository.rootWithoutBitmaps);
  const servers = [mirror, delayedMirror, git, gitWithoutBitmaps];
  const measure = (server: MeasuredServer, timesInARow: number): Promise<Measurement> =>
    measureRequests(workspace, server, {
      url: repositoryUrl(server),
      requests,
      repeats: timesInARow,
      clients,
    });
  return {
    coldMirror: () => measure(mirror, 1),
    coldDelayedMirror: () => measure(delayedMirror, 1),
    async coldFarMirror(): Promise<Measurement> {
      const farMirror = await startMirrorServer(workspace, storeFolder, FAR_STORE_DELAY_MS, processes);
      try {
        return await measure(farMirror, 1);
      } finally {
        await farMirror.close();
      }
    },
    mirror: () => measure(mirror, repeats),
    delayedMirror: () => measure(delayedMirror, repeats),
    git: () => measure(git, repeats),
    gitWithoutBitmaps: () => measure(gitWithoutBitmaps, 1),
    verify: () => verify({ mirror: repositoryUrl(mirror), git: repositoryUrl(git) }),
    async close(): Promise<void> {
      await Promise.all(servers.map((server) => server.close()));
    },
    setup: { webServer: webServer === undefined ? "none" : "nginx", repeats, clients, processes, ...setup },
  };
}

function repositoryUrl(server: MeasuredServer): string {
  return `${server.url}/${BENCH_WORKSPACE}/${BENCH_SLUG}.git`;
}

async function measureRequests(
  workspace: Workspace,
  server: MeasuredServer,
  order: ClientOrder,
): Promise<Measurement> {
  const orderFile = join(await workspace.newFolder("order"), "order.json");
  await writeFile(orderFile, JSON.stringify(order));
  const { repeats } = order;
  const cpuSecondsBefore = await server.cpuSeconds();
  await server.takeStoreCounts?.();
  const sampler = new MemorySampler(server.rootPid);
  try {
    const { stdout } = await measureProgram(workspace, "client-child.ts", [orderFile]);
    const memory = sampler.stop();
    const { wallSeconds, bytes } = JSON.parse(stdout) as ClientResult;
    const counts = await server.takeStoreCounts?.();
    const cpuSeconds = Math.max(CPU_RESOLUTION_SECONDS, (await server.cpuSeconds()) - cpuSecondsBefore);
    return {
      wallSeconds,
      cpuSeconds: cpuSeconds / repeats,
      bytes,
      ...memory,
      ...(counts === undefined
        ? {}
        : {
            storeRequests: counts.requests / repeats,
            rounds: counts.rounds / repeats,
            storeBytes: counts.bytesRead / repeats,
          }),
    };
  } finally {
    sampler.stop();
  }
}
