/**
 * A bare repository beside the new one, into which the mirror's packs are downloaded and checked. `git clone` takes it for an alternate:
 * it finds there what it would fetch. Then the packs are moved into the clone. A run that is ended before leaves it to the next one.
 */
import { createHash } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { chmod, copyFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { CorruptPackError, UpstreamError } from "../../../lib/errors.ts";
import type { ClonePlan } from "../../../lib/repo/clone-plan.ts";
import { makeFolder } from "../../../lib/store/folder.ts";
import { checkPack } from "./check-pack.ts";
import { downloadFiles, type RemoteFile } from "./download.ts";
import type { HttpClient } from "./http-client.ts";
import { PartialFolder } from "./partial-folder.ts";
import { ENDING_SIGNALS, exitCodeOfSignal, type GitRun, runGit } from "./run-git.ts";

export interface PrepareOptions {
  readonly client: HttpClient;
  readonly git: GitRun;
  /** Of the repository: another one's packs are not continued. */
  readonly url: string;
  /** Asks for a newer plan, when addresses have expired. */
  readonly askAgain: () => Promise<ClonePlan | undefined>;
  readonly onBytes: (bytes: number) => void;
  /** Called when the process ends, or the download has failed, with what is kept for the next run. */
  readonly onKept: (bytes: number, folder: string) => void;
  /** Options of `git index-pack` to look at every object with; none: checksums only. */
  readonly deepCheck: readonly string[] | undefined;
}

export function planBytes({ packs }: ClonePlan): number {
  return packs.reduce((sum, { packBytes, indexBytes }) => sum + packBytes + indexBytes, 0);
}

export class PreparedObjects implements AsyncDisposable {
  readonly #partial: PartialFolder;
  /** As git names packs, by their ids; oldest first. */
  #checksums: ReadonlyMap<string, string> = new Map();
  readonly #options: PrepareOptions;
  #isDownloaded = false;
  #isInstalled = false;
  #endedBy: NodeJS.Signals | undefined;

  private constructor(partial: PartialFolder, options: PrepareOptions) {
    this.#partial = partial;
    this.#options = options;
  }

  /** @param target - Of the clone. @throws {CorruptPackError} What the mirror has is damaged. @throws {UpstreamError} */
  static async download(target: string, plan: ClonePlan, options: PrepareOptions): Promise<PreparedObjects> {
    await makeFolder(dirname(target), 0o777);
    const prepared = new PreparedObjects(await PartialFolder.open(target, options.url), options);
    for (const signal of ENDING_SIGNALS) process.on(signal, prepared.#end);
    try {
      await prepared.#download(plan, options);
      prepared.#isDownloaded = true;
      return prepared;
    } catch (error) {
      // The next run would find the same damage.
      if (error instanceof CorruptPackError) await prepared.#partial.remove();
      await prepared[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const signal of ENDING_SIGNALS) process.off(signal, this.#end);
    if (this.#isInstalled || !this.#partial.isWorthKeeping) return this.#partial.remove();
    await this.#partial.close();
    this.#sayKept();
  }

  /** What was to end this process since the download. It does not, so that no repository stays without its objects. */
  get endedBy(): NodeJS.Signals | undefined {
    return this.#endedBy;
  }

  readonly #end = (signal: NodeJS.Signals) => {
    this.#endedBy = signal;
    if (this.#isDownloaded) return;
    if (this.#partial.isWorthKeeping) this.#sayKept();
    else rmSync(this.#partial.path, { recursive: true, force: true });
    process.exit(exitCodeOfSignal(signal));
  };

  #sayKept(): void {
    this.#options.onKept(this.#partial.receivedBytes, this.#partial.path);
  }

  get #folder(): string {
    return this.#partial.path;
  }

  get #objectFolder(): string {
    return join(this.#folder, "objects");
  }

  get #packFolder(): string {
    return join(this.#objectFolder, "pack");
  }

  /** For `GIT_ALTERNATE_OBJECT_DIRECTORIES`: a list, whose items git takes in quotation marks where they hold what separates them. */
  get alternates(): string {
    const quoted = `"${this.#objectFolder.replaceAll(/["\\]/g, "\\$&")}"`;
    const { GIT_ALTERNATE_OBJECT_DIRECTORIES: others } = process.env;
    return others ? `${quoted}${delimiter}${others}` : quoted;
  }

  async #download(plan: ClonePlan, options: PrepareOptions): Promise<void> {
    await mkdir(this.#packFolder, { recursive: true });
    await mkdir(join(this.#folder, "refs"), { recursive: true });
    await writeFile(join(this.#folder, "HEAD"), "ref: refs/heads/main\n");
    const packedRefs = join(this.#folder, "packed-refs");
    const addresses = new Addresses(plan);
    const path = (id: string, ending: string) => join(this.#packFolder, `pack-${id}.${ending}`);
    const files: RemoteFile[] = [
      ...plan.packs.flatMap(({ id, packBytes, indexBytes }) => [
        { path: path(id, "pack"), bytes: packBytes, url: () => addresses.of(id).packUrl, isKept: true },
        { path: path(id, "idx"), bytes: indexBytes, url: () => addresses.of(id).indexUrl, isKept: true },
      ]),
      // Another plan may have others.
      { path: packedRefs, bytes: plan.refs.bytes, url: () => addresses.refsUrl, isKept: false },
    ];
    const renew = () => addresses.renew(options.askAgain);
    await downloadFiles(files, { ...options, renew, partial: this.#partial });
    if (sha256Of(await readFile(packedRefs)) !== plan.refs.sha256)
      throw new CorruptPackError("the mirror's list of refs is damaged; nothing was installed");
    const checksums = new Map<string, string>();
    for (const pack of plan.packs)
      checksums.set(pack.id, await checkPack(path(pack.id, "pack"), path(pack.id, "idx"), pack));
    if (options.deepCheck !== undefined)
      await this.#checkObjects(options.git, [...checksums.keys()], options.deepCheck);
    await this.#partial.complete(checksums, plan.primaryUrl);
    this.#checksums = checksums;
  }

  async #checkObjects(git: GitRun, packIds: readonly string[], deepCheck: readonly string[]): Promise<void> {
    const here = { ...git, options: [...git.options, "--git-dir", this.#folder] };
    for (const id of packIds) {
      const args = ["index-pack", "--verify", ...deepCheck, join(this.#packFolder, `pack-${id}.pack`)];
      if ((await runGit(here, args)) !== 0)
        throw new CorruptPackError("git finds faults in the mirror's objects; nothing was installed", {
          pack: id,
        });
    }
  }

  /** @param folder - `objects/pack` of the new repository. */
  async moveInto(folder: string): Promise<void> {
    await installPacks(this.#folder, this.#checksums, folder);
    this.#isInstalled = true;
  }

  /** Commits of the mirror's branches. */
  async branchTips(): Promise<string[]> {
    const text = await readFile(join(this.#folder, "packed-refs"), "latin1");
    return [...new Set([...text.matchAll(/^([0-9a-f]{40}) refs\/heads\//gm)].map(([, id = ""]) => id))];
  }
}

/**
 * As git installs packs: read-only, and the index last, which makes a pack count.
 * @param checksums - By the packs' ids. Those that were moved before are skipped.
 */
export async function installPacks(
  partialFolder: string,
  checksums: ReadonlyMap<string, string>,
  folder: string,
): Promise<void> {
  await makeFolder(folder, 0o777);
  for (const [id, checksum] of checksums)
    for (const ending of ["pack", "idx"]) {
      const to = join(folder, `pack-${checksum}.${ending}`);
      if (!existsSync(to)) await move(join(partialFolder, "objects/pack", `pack-${id}.${ending}`), to);
    }
}

/** Also to another file system. */
async function move(from: string, to: string): Promise<void> {
  await chmod(from, 0o444);
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
    await copyFile(from, `${to}.tmp`);
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
