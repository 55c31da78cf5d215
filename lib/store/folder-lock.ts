/**
 * A lock on a folder that the kernel frees when its holder dies, however it dies.
 *
 * Node has no flock(2), but it has SQLite, whose transactions lock a file through the operating system (fcntl on Unix,
 * LockFileEx on Windows). So there is no lock file to be left behind, and none to be taken over by guessing that its owner is dead.
 * The database itself stays empty.
 */
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { LimitExceededError } from "../errors.ts";
import { FILE_MODE, makeFolder } from "./folder.ts";

/** SQLite's result codes, without their extended part, for "another process has the lock". */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

const MAX_PAUSE_MS = 8;

/** Holders keep it for milliseconds. One that keeps it this long was stopped, or its disk hangs. */
const DEFAULT_MAX_WAIT_MS = 60_000;

export class FolderLock {
  readonly #path: string;
  readonly #maxWaitMs: number;
  #database: DatabaseSync | undefined;
  /** Ends when the last one in this process who asked before is done. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param path - The lock's file; it and its folder are made when first needed. */
  constructor(path: string, { maxWaitMs = DEFAULT_MAX_WAIT_MS } = {}) {
    this.#path = path;
    this.#maxWaitMs = maxWaitMs;
  }

  /**
   * Runs `action` while holding the lock, within this process and across processes. Keep it short.
   * @throws {LimitExceededError} Another process keeps the lock.
   */
  run<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(() => this.#runExclusively(action));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #runExclusively<Result>(action: () => Promise<Result>): Promise<Result> {
    this.#database ??= await openDatabase(this.#path);
    await this.#begin(this.#database);
    try {
      return await action();
    } finally {
      this.#database.exec("COMMIT");
    }
  }

  async #begin(database: DatabaseSync): Promise<void> {
    const startedMs = performance.now();
    for (;;) {
      try {
        database.exec("BEGIN EXCLUSIVE");
        return;
      } catch (error) {
        if (!isBusy(error)) throw error;
        const waitedMs = performance.now() - startedMs;
        if (waitedMs >= this.#maxWaitMs) {
          const message = `another process keeps the lock on the store's folder; is it stopped? ${this.#path}`;
          throw new LimitExceededError(message, { waitedMs: Math.round(waitedMs), cause: error });
        }
      }
      // Random, so that waiting processes don't keep step. SQLite's own waiting would block the event loop.
      await sleep(1 + Math.random() * MAX_PAUSE_MS);
    }
  }
}

async function openDatabase(path: string): Promise<DatabaseSync> {
  await makeFolder(dirname(path));
  await (await open(path, "a", FILE_MODE)).close();
  const { DatabaseSync } = await import("node:sqlite");
  return new DatabaseSync(path);
}

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error && "errcode" in error && typeof error.errcode === "number")) return false;
  const primaryCode = error.errcode & 0xff;
  return primaryCode === SQLITE_BUSY || primaryCode === SQLITE_LOCKED;
}
