/** The mirror's folder store with the repository in it, filled by ingest-child.ts. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { StoreCounts } from "../support/store/counting-blob-store.ts";
import { BENCH_SLUG, BENCH_WORKSPACE, type BenchRepository } from "./bench-repository.ts";
import type { IngestOrder } from "./ingest-child.ts";
import { bundledProgram, measureProgram } from "./measured-command.ts";
import type { Measurement } from "./measurement.ts";
import type { Workspace } from "./workspace.ts";

/** What goes in. */
export type IngestInput = Pick<BenchRepository, "packFile" | "head" | "refs">;

export interface IngestOptions {
  readonly storeFolder: string;
  readonly uuid: string;
  readonly storeDelayMs: number;
}

/** Empties the store and measures how the repository comes into it. */
export async function measureIngest(
  workspace: Workspace,
  { packFile, head, refs }: IngestInput,
  { storeFolder, uuid, storeDelayMs }: IngestOptions,
): Promise<Measurement> {
  const temporaryFolder = `${storeFolder}-temporary`;
  await rm(storeFolder, { recursive: true, force: true });
  await mkdir(storeFolder, { recursive: true });
  const order: IngestOrder = {
    packFile,
    storeFolder,
    storeDelayMs,
    temporaryFolder,
    workspace: BENCH_WORKSPACE,
    slug: BENCH_SLUG,
    uuid,
    head,
    refs,
  };
  const orderFile = join(await workspace.newFolder("ingest"), "order.json");
  await writeFile(orderFile, JSON.stringify(order));
  const { usage, stdout } = await measureProgram(workspace, "ingest-child.ts", [orderFile]);
  await rm(temporaryFolder, { recursive: true, force: true });
  const counts = JSON.parse(stdout) as StoreCounts;
  return { ...usage, bytes: counts.bytesWritten, storeRequests: counts.requests, rounds: counts.rounds };
}

/** The prefix of the repository in its store: a bare repository. */
export function repositoryFolderIn(storeFolder: string, uuid: string): string {
  return join(storeFolder, repositoryKeys(uuid).prefix);
}

/** @returns The folder of a store that holds the repository as a first sync leaves it. */
export async function prepareStore(
  workspace: Workspace,
  name: string,
  repository: BenchRepository,
): Promise<string> {
  const program = await programDigest(workspace, "ingest-child.ts");
  const folder = await workspace.prepared(name, `${program} ${repository.recipe}`, async (made) => {
    workspace.progress(`filling the mirror's store: ${name}`);
    const storeFolder = join(made, "store");
    await measureIngest(workspace, repository, { storeFolder, uuid: randomUUID(), storeDelayMs: 0 });
  });
  return join(folder, "store");
}

/** Changes with the code that fills stores, so that a kept one is never of another code's making. */
export async function programDigest(workspace: Workspace, fileName: string): Promise<string> {
  const program = await bundledProgram(workspace, fileName);
  const worker = join(dirname(program), "index-worker.mjs");
  const hash = createHash("sha256");
  for (const file of [program, worker]) hash.update(await readFile(file));
  return hash.digest("hex");
}
