/**
 * Flushes folders to disk, many at once. Callers that ask for the same folder while it is flushed share the next flush: it begins
 * after the changes of all of them.
 */
import { dirname } from "node:path";
import { syncFolder } from "./folder.ts";

export class FolderSyncs {
  readonly #running = new Map<string, Promise<void>>();
  /** Of folders that are running: begins when that ends. */
  readonly #next = new Map<string, Promise<void>>();
  readonly #flush: (folder: string) => Promise<void>;

  constructor(flush: (folder: string) => Promise<void> = syncFolder) {
    this.#flush = flush;
  }

  /**
   * Call it right after a file was put into `folder`, before another caller can rely on a folder that was made for it.
   *
   * @param topMadeFolder - The topmost folder that was made for the file, if any.
   * @returns Resolves when the file's name, and those of the folders above it that this process has made, last through a power cut.
   *   Those that another process is just making, file systems with a journal keep before what is put into them.
   */
  async persist(folder: string, topMadeFolder: string | undefined): Promise<void> {
    const pending = [this.#sync(folder)];
    if (topMadeFolder !== undefined) {
      for (let made = folder; made.length >= topMadeFolder.length; made = dirname(made))
        pending.push(this.#sync(dirname(made)));
    }
    // A folder above may have been made a moment ago, for another file.
    for (let above = folder; above !== dirname(above); above = dirname(above)) {
      const others = this.#next.get(dirname(above)) ?? this.#running.get(dirname(above));
      if (others !== undefined) pending.push(others);
    }
    await Promise.all(pending);
  }

  #sync(folder: string): Promise<void> {
    const running = this.#running.get(folder);
    if (running === undefined) return this.#start(folder);
    const next =
      this.#next.get(folder) ??
      running
        .catch(() => undefined)
        .then(() => {
          this.#next.delete(folder);
          return this.#start(folder);
        });
    this.#next.set(folder, next);
    return next;
  }

  #start(folder: string): Promise<void> {
    const flush = this.#flush(folder).finally(() => {
      if (this.#running.get(folder) === flush) this.#running.delete(folder);
    });
    this.#running.set(folder, flush);
    return flush;
  }
}
