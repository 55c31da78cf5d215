/**
 * Row `full-clone`, the servers' side: a canned protocol v2 fetch of every tip, posted by a small client that drops the
 * answer. The mirror's server against git-http-backend(1) over the same objects, with bitmaps.
 */
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { encodeFetchRequestV2 } from "../../lib/git/fetch-pack/request.ts";
import { readFetchResponse } from "../../lib/git/fetch-pack/response.ts";
import { OBJECT_ID_BYTES } from "../../lib/git/object-id.ts";
import { decodePackHeader, PACK_HEADER_BYTES } from "../../lib/git/pack/pack-format.ts";
import { isolatedGitEnvironment } from "../support/git/run-git.ts";
import { BENCH_SLUG, BENCH_WORKSPACE, type BenchRepository } from "./bench-repository.ts";
import type { ClientResult } from "./client-child.ts";
import { FETCH_HEADERS } from "./fetch-headers.ts";
import { type IngestedStore, onlyPackFile } from "./ingested-store.ts";
import { measureProgram } from "./measured-command.ts";
import { type MeasuredServer, startMirrorServer, startPlainGitServer } from "./measured-server.ts";
import type { Contest, Measurement } from "./measurement.ts";
import { startNginxGitServer, type WebServerPrograms } from "./nginx-git-server.ts";
import { CPU_RESOLUTION_SECONDS, MemorySampler } from "./process-usage.ts";
import { GIT_SAFETY_ENVIRONMENT, type Workspace } from "./workspace.ts";

/** @param webServer - What git is served by; without it, by a small server of our own. */
export async function openFullCloneContest(
  workspace: Workspace,
  repository: BenchRepository,
  store: IngestedStore,
  webServer: WebServerPrograms | undefined,
): Promise<Contest> {
  await store.fillIfEmpty();
  const bodyFile = workspace.path("fetch-request");
  await writeFile(
    bodyFile,
    encodeFetchRequestV2({ wants: repository.tips, haves: [], agent: "nearside-bench/1" }),
  );
  const mirror = await startMirrorServer(workspace, store.folder);
  const git =
    webServer === undefined
      ? await startPlainGitServer(workspace, repository.root)
      : await startNginxGitServer(workspace, webServer, repository.root);
  return {
    mirror: () => measureClone(workspace, mirror, bodyFile),
    git: () => measureClone(workspace, git, bodyFile),
    verify: () => verifyAnswers(workspace, repository, bodyFile, mirror, git),
    async close(): Promise<void> {
      await Promise.all([mirror.close(), git.close()]);
    },
    setup: { webServer: webServer === undefined ? "none" : "nginx" },
  };
}

/** In a version 2 index: behind the magic number, the version and the fan-out table. */
const INDEX_NAMES_OFFSET_BYTES = 8 + 256 * 4;
const UPLOAD_PACK_PATH = `/${BENCH_WORKSPACE}/${BENCH_SLUG}.git/git-upload-pack`;

async function measureClone(
  workspace: Workspace,
  server: MeasuredServer,
  bodyFile: string,
): Promise<Measurement> {
  const cpuSecondsBefore = await server.cpuSeconds();
  await server.takeStoreCounts?.();
  const sampler = new MemorySampler(server.rootPid);
  try {
    const { stdout } = await measureProgram(workspace, "client-child.ts", [
      server.url + UPLOAD_PACK_PATH,
      bodyFile,
    ]);
    const memory = sampler.stop();
    const { wallSeconds, bytes } = JSON.parse(stdout) as ClientResult;
    const counts = await server.takeStoreCounts?.();
    return {
      wallSeconds,
      cpuSeconds: Math.max(CPU_RESOLUTION_SECONDS, (await server.cpuSeconds()) - cpuSecondsBefore),
      bytes,
      ...memory,
      ...(counts === undefined ? {} : { storeRequests: counts.requests, rounds: counts.rounds }),
    };
  } finally {
    sampler.stop();
  }
}

/**
 * git takes in the mirror's answer, naming every object anew, and has exactly the repository's objects then; git's own answer
 * holds as many. Not `--strict`: a repository may hold objects that break rules made after it.
 */
async function verifyAnswers(
  workspace: Workspace,
  { objects, indexFile }: BenchRepository,
  bodyFile: string,
  mirror: MeasuredServer,
  git: MeasuredServer,
): Promise<void> {
  const body = await readFile(bodyFile);
  const cloned = workspace.path("cloned.git");
  await workspace.git(["init", "--quiet", "--bare", cloned]);
  await storePack(workspace, cloned, packOf(mirror, body));
  const received = await readFile(await onlyPackFile(cloned, ".idx"));
  const expected = await readFile(indexFile);
  const namesEndBytes = INDEX_NAMES_OFFSET_BYTES + objects * OBJECT_ID_BYTES;
  if (!received.subarray(0, namesEndBytes).equals(expected.subarray(0, namesEndBytes))) {
    throw new Error("the mirror's answer holds other objects than the repository");
  }
  await rm(cloned, { recursive: true });
  const gitObjects = await countObjects(packOf(git, body));
  if (gitObjects !== objects)
    throw new Error(`git's answer holds ${gitObjects} objects instead of ${objects}`);
}

/** @throws {Error} git refuses it. */
async function storePack(
  workspace: Workspace,
  repositoryFolder: string,
  pack: AsyncIterable<Uint8Array>,
): Promise<void> {
  const child = workspace.spawn("git", ["index-pack", "--stdin"], {
    cwd: repositoryFolder,
    env: { ...isolatedGitEnvironment(), ...GIT_SAFETY_ENVIRONMENT },
    stdio: ["pipe", "ignore", "inherit"],
  });
  const { stdin } = child;
  if (stdin === null) throw new Error("git did not start");
  const [[exitCode]] = await Promise.all([once(child, "exit"), pipeline(pack, stdin)]);
  if (exitCode !== 0) throw new Error("git refuses the pack in the mirror's answer");
}

async function* packOf(
  server: MeasuredServer,
  body: Uint8Array<ArrayBuffer>,
): AsyncGenerator<Uint8Array, void> {
  const response = await fetch(server.url + UPLOAD_PACK_PATH, {
    method: "POST",
    headers: FETCH_HEADERS,
    body,
  });
  if (response.status !== 200 || response.body === null) {
    throw new Error(`${server.url} answered ${response.status}`);
  }
  yield* readFetchResponse(response.body, { protocol: 2 });
}

async function countObjects(pack: AsyncIterable<Uint8Array>): Promise<number> {
  let head = Buffer.alloc(0);
  for await (const chunk of pack) if (head.length < PACK_HEADER_BYTES) head = Buffer.concat([head, chunk]);
  return decodePackHeader(head).objectCount;
}
