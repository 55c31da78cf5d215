/**
 * A bare repository beside the new one, into which the mirror's packs are downloaded and checked. `git clone` takes it for an alternate:
 * it finds there what it would fetch. Then the packs are moved into the clone.
 */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CorruptPackError, UpstreamError } from "../../../lib/errors.ts";
import type { ClonePlan } from "../../../lib/repo/clone-plan.ts";
import { makeFolder } from "../../../lib/store/folder.ts";
import { checkPack } from "./check-pack.ts";
import { downloadFiles, type RemoteFile } from "./download.ts";
import type { HttpClient } from "./http-client.ts";
import { ENDING_SIGNALS, exitCodeOfSignal, type GitRun, runGit } from "./run-git.ts";

export interface PrepareOptions {
  readonly client: HttpClient;
  readonly git: GitRun;
  /** Asks for a newer plan, when addresses have expired. */
  readonly askAgain: () => Promise<ClonePlan | undefined>;
  readonly onBytes: (bytes: number) => void;
  /** Options of `git index-pack` to look at every object with; none: checksums only. */
  readonly deepCheck: readonly string[] | undefined;
}

export function planBytes({ packs }: ClonePlan): number {
  return packs.reduce((sum, { packBytes, indexBytes }) => sum + packBytes + indexBytes, 0);
}

export class PreparedObjects implements AsyncDisposable {
  readonly #folder: string;
  /** As git names packs, oldest first. */
  readonly #packNames: string[] = [];
  #isDownloaded = false;
  #endedBy: NodeJS.Signals | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param target - Of the clone. @throws {CorruptPackError} What the mirror has is damaged. @throws {UpstreamError} */
  static async download(target: string, plan: ClonePlan, options: PrepareOptions): Promise<PreparedObjects> {
    const parent = dirname(target);
    await makeFolder(parent, 0o777);
    const prepared = new PreparedObjects(await mkdtemp(join(parent, `.${basename(target)}.nearside-`)));
    for (const signal of ENDING_SIGNALS) process.on(signal, prepared.#end);
    try {
      await prepared.#download(plan, options);
      prepared.#isDownloaded = true;
      return prepared;
    } catch (error) {
      await prepared[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
    for (const signal of ENDING_SIGNALS) process.off(signal, this.#end);
  }

  /** What was to end this process since the download. It does not, so that no repository stays without its objects. */
  get endedBy(): NodeJS.Signals | undefined {
    return this.#endedBy;
  }

  readonly #end = (signal: NodeJS.Signals) => {
    this.#endedBy = signal;
    if (this.#isDownloaded) return;
    rmSync(this.#folder, { recursive: true, force: true });
    process.exit(exitCodeOfSignal(signal));
  };

  get objectFolder(): string {
    return join(this.#folder, "objects");
  }

  get #packFolder(): string {
    return join(this.objectFolder, "pack");
  }

  async #download(plan: ClonePlan, options: PrepareOptions): Promise<void> {
    await mkdir(this.#packFolder, { recursive: true });
    await mkdir(join(this.#folder, "refs"));
    await writeFile(join(this.#folder, "HEAD"), "ref: refs/heads/main\n");
    const packedRefs = join(this.#folder, "packed-refs");
    const addresses = new Addresses(plan);
    const path = (id: string, ending: string) => join(this.#packFolder, `${id}.${ending}`);
    const files: RemoteFile[] = [
      ...plan.packs.flatMap(({ id, packBytes, indexBytes }) => [
        { path: path(id, "pack"), bytes: packBytes, url: () => addresses.of(id).packUrl },
        { path: path(id, "idx"), bytes: indexBytes, url: () => addresses.of(id).indexUrl },
      ]),
      { path: packedRefs, bytes: plan.refs.bytes, url: () => addresses.refsUrl },
    ];
    await downloadFiles(files, { ...options, renew: () => addresses.renew(options.askAgain) });
    if (sha256Of(await readFile(packedRefs)) !== plan.refs.sha256)
      throw new CorruptPackError("the mirror's list of refs is damaged; nothing was cloned");
    for (const pack of plan.packs) {
      const checksum = await checkPack(path(pack.id, "pack"), path(pack.id, "idx"), pack);
      const name = `pack-${checksum}`;
      await rename(path(pack.id, "pack"), path(name, "pack"));
      await rename(path(pack.id, "idx"), path(name, "idx"));
      this.#packNames.push(name);
    }
    if (options.deepCheck !== undefined) await this.#checkObjects(options.git, options.deepCheck);
  }

  async #checkObjects(git: GitRun, deepCheck: readonly string[]): Promise<void> {
    const here = { ...git, options: [...git.options, "--git-dir", this.#folder] };
    for (const name of this.#packNames) {
      const args = ["index-pack", "--verify", ...deepCheck, join(this.#packFolder, `${name}.pack`)];
      if ((await runGit(here, args)) !== 0)
        throw new CorruptPackError("git finds faults in the mirror's objects; nothing was cloned", {
          pack: name,
        });
    }
  }

  /** As git installs packs: read-only, and the index last, which makes a pack count. */
  async moveInto(folder: string): Promise<void> {
    await makeFolder(folder, 0o777);
    for (const name of this.#packNames)
      for (const ending of ["pack", "idx"]) {
        const file = `${name}.${ending}`;
        await move(join(this.#packFolder, file), join(folder, file));
      }
  }
}

/** Also to another file system. */
async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
    await copyFile(from, `${to}.tmp`);
    await chmod(`${to}.tmp`, 0o444);
    await rename(`${to}.tmp`, to);
  }
}

/** The addresses of a plan's files, as of the newest plan. */
class Addresses {
  readonly #packs: Map<string, { readonly packUrl: string; readonly indexUrl: string }>;
  readonly #sha256: string;
  refsUrl: string;
  #renewal: Promise<ClonePlan | undefined> | undefined;

  constructor({ packs, refs }: ClonePlan) {
    this.#packs = new Map(packs.map((pack) => [pack.id, pack]));
    this.refsUrl = refs.url;
    this.#sha256 = refs.sha256;
  }

  of(id: string): { readonly packUrl: string; readonly indexUrl: string } {
    const pack = this.#packs.get(id);
    if (pack === undefined) throw new Error(`there is no pack ${id} in the plan`);
    return pack;
  }

  /** All of a plan's addresses expire at once: a download that finds out while a newer plan is asked for waits for that one. */
  async renew(askAgain: () => Promise<ClonePlan | undefined>): Promise<void> {
    this.#renewal ??= askAgain().finally(() => {
      this.#renewal = undefined;
    });
    this.#take(await this.#renewal);
  }

  /** What another plan names no more keeps its address: it may still be there. */
  #take(plan: ClonePlan | undefined): void {
    if (plan === undefined)
      throw new UpstreamError("the mirror gives no new addresses", { retryable: false });
    for (const pack of plan.packs) if (this.#packs.has(pack.id)) this.#packs.set(pack.id, pack);
    if (plan.refs.sha256 === this.#sha256) this.refsUrl = plan.refs.url;
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
