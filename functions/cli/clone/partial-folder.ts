/**
 * `<target>.nearside-partial`: what a download has brought, until the clone is done. A later run for the same address continues there.
 * `state.json` says of which address, and once all packs are checked their names; `received` has a line for each MiB of a piece.
 */
import { type FileHandle, lstat, mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { UpstreamError } from "../../../lib/errors.ts";

const hexId = z.string().check(z.regex(/^[0-9a-f]{40}$/));
const stateSchema = z.object({
  formatVersion: z.literal(1),
  url: z.string(),
  /** The checksums by which git names the packs, by their ids; present once they are whole. */
  checksums: z.optional(z.record(hexId, hexId)),
  primaryUrl: z.optional(z.string()),
});

type PartialState = z.infer<typeof stateSchema>;

/** Less is downloaded again sooner than one has read where it is. */
const MIN_KEPT_BYTES = 1024 * 1024;

export class PartialFolder {
  readonly path: string;
  readonly state: PartialState;
  /** By file and start of a piece: up to where it was received. */
  readonly #received = new Map<string, number>();
  #journal: FileHandle | undefined;

  private constructor(path: string, state: PartialState) {
    this.path = path;
    this.state = state;
  }

  /** @returns What an earlier run has left for this address; `undefined` if there is nothing. */
  static async find(target: string, url: string): Promise<PartialFolder | undefined> {
    const path = partialPath(target);
    if (!(await isOwnFolder(path))) return undefined;
    const state = stateSchema.safeParse(parseJson(await readText(join(path, "state.json")))).data;
    return state?.url === url ? new PartialFolder(path, state) : undefined;
  }

  /** @throws {UpstreamError} Another run uses it, or it is not this user's. */
  static async open(target: string, url: string): Promise<PartialFolder> {
    const found = await PartialFolder.find(target, url);
    const path = partialPath(target);
    if (found === undefined) {
      if (await isThere(path)) {
        if (!(await isOwnFolder(path))) throw unusable(`${path} is another user's`);
        await assertUnused(path);
        await rm(path, { recursive: true });
      }
      await mkdir(path, { mode: 0o700 });
    } else await assertUnused(path);
    await writeFile(join(path, "pid"), String(process.pid));
    const partial = found ?? new PartialFolder(path, { formatVersion: 1, url });
    await partial.#openJournal();
    return partial;
  }

  async #openJournal(): Promise<void> {
    const path = join(this.path, "received");
    for (const line of (await readText(path)).split("\n")) {
      const [, piece, endBytes] = /^(\S+ \d+) (\d+)$/.exec(line) ?? [];
      if (piece !== undefined) this.#received.set(piece, Number(endBytes));
    }
    await this.#writeState(this.state);
    this.#journal = await open(path, "a");
  }

  /** @returns Up to where a piece was received; its start if nothing was. */
  receivedOf(name: string, startBytes: number): number {
    return this.#received.get(`${name} ${startBytes}`) ?? startBytes;
  }

  async note(name: string, startBytes: number, endBytes: number): Promise<void> {
    this.#received.set(`${name} ${startBytes}`, endBytes);
    await this.#journal?.appendFile(`${name} ${startBytes} ${endBytes}\n`);
  }

  /** All packs are there, and checked. @param primaryUrl - Where the new repository pushes. */
  async complete(checksums: ReadonlyMap<string, string>, primaryUrl: string | undefined): Promise<void> {
    const state = { ...this.state, checksums: Object.fromEntries(checksums) };
    await this.#writeState({ ...state, ...(primaryUrl !== undefined && { primaryUrl }) });
  }

  async #writeState(state: PartialState): Promise<void> {
    await writeFile(join(this.path, "state.json"), JSON.stringify(state));
  }

  get receivedBytes(): number {
    let bytes = 0;
    for (const [piece, endBytes] of this.#received) bytes += endBytes - Number(piece.split(" ")[1]);
    return bytes;
  }

  get isWorthKeeping(): boolean {
    return this.receivedBytes >= MIN_KEPT_BYTES;
  }

  async close(): Promise<void> {
    await this.#journal?.close();
    this.#journal = undefined;
    await rm(join(this.path, "pid"), { force: true });
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { recursive: true, force: true });
  }
}

export function partialPath(target: string): string {
  return `${target}.nearside-partial`;
}

/** What others may write to is not trusted: objects are installed from there without hashing each. */
async function isOwnFolder(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || !found.isDirectory()) return false;
  return process.getuid === undefined || (found.uid === process.getuid() && (found.mode & 0o022) === 0);
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

/** @throws {UpstreamError} The process that uses it lives. */
async function assertUnused(path: string): Promise<void> {
  const pid = Number(await readText(join(path, "pid")));
  if (pid > 0 && pid !== process.pid && isAlive(pid)) throw unusable(`process ${pid} downloads to ${path}`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function unusable(why: string): UpstreamError {
  return new UpstreamError(why, { retryable: false });
}

/** Empty if there is no such file. */
async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // SyntaxError: the only one there is. The write was cut.
  }
}
