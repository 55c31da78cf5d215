/** The mirror's folder store with the repository in it, filled by ingest-child.ts. */
import { randomUUID } from "node:crypto";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { StoreCounts } from "../../lib/store/counting-blob-store.ts";
import { BENCH_SLUG, BENCH_WORKSPACE, type BenchRepository } from "./bench-repository.ts";
import type { IngestOrder } from "./ingest-child.ts";
import { measureProgram } from "./measured-command.ts";
import type { Measurement } from "./measurement.ts";
import type { Workspace } from "./workspace.ts";

export class IngestedStore {
  readonly folder: string;
  readonly #workspace: Workspace;
  readonly #repository: BenchRepository;
  readonly #uuid = randomUUID();
  #isFilled = false;

  constructor(workspace: Workspace, repository: BenchRepository) {
    this.folder = workspace.path("store");
    this.#workspace = workspace;
    this.#repository = repository;
  }

  /** The prefix of the repository: a bare repository. */
  get repositoryFolder(): string {
    return join(this.folder, repositoryKeys(this.#uuid).prefix);
  }

  /** Empties the store and measures how the repository comes into it. */
  async ingest(): Promise<Measurement> {
    const { packFile, head, refs, tips } = this.#repository;
    await rm(this.folder, { recursive: true, force: true });
    const order: IngestOrder = {
      packFile,
      storeFolder: this.folder,
      workspace: BENCH_WORKSPACE,
      slug: BENCH_SLUG,
      uuid: this.#uuid,
      head,
      refs,
      tips,
    };
    const orderFile = this.#workspace.path("ingest-order.json");
    await writeFile(orderFile, JSON.stringify(order));
    const { usage, stdout } = await measureProgram(this.#workspace, "ingest-child.ts", [orderFile]);
    this.#isFilled = true;
    const counts = JSON.parse(stdout) as StoreCounts;
    return { ...usage, bytes: counts.bytesWritten, storeRequests: counts.requests, rounds: counts.rounds };
  }

  async fillIfEmpty(): Promise<void> {
    if (this.#isFilled) return;
    this.#workspace.progress("filling the mirror's store");
    await this.ingest();
  }

  /** Its one file of this kind. */
  async packFile(kind: ".pack" | ".idx"): Promise<string> {
    return onlyPackFile(this.repositoryFolder, kind);
  }
}

/** @throws {Error} The repository has none, or several. */
export async function onlyPackFile(repositoryFolder: string, kind: ".pack" | ".idx"): Promise<string> {
  const folder = join(repositoryFolder, "objects/pack");
  const [name, ...others] = (await readdir(folder)).filter((file) => file.endsWith(kind));
  if (name === undefined || others.length > 0) {
    throw new Error(
      `expected one ${kind} file in ${folder}, found ${others.length + (name === undefined ? 0 : 1)}`,
    );
  }
  return join(folder, name);
}
