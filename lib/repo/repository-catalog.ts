/** Finds repositories by name, and keeps the ones used last open: what they have read is kept as long as it is true. */
import { NotFoundError } from "../errors.ts";
import type { RepositoryUuid } from "./layout.ts";
import { readName } from "./names.ts";
import { openRepository, type Repository, type RepositoryStorage } from "./repository.ts";

/** Each holds its refs and pack indexes: tens of MB for a large one. */
const DEFAULT_MAX_OPEN = 16;

export class RepositoryCatalog {
  readonly #storage: RepositoryStorage;
  readonly #maxOpen: number;
  /** In the order of their last use. */
  readonly #open = new Map<RepositoryUuid, Repository>();
  /** What names meant last, to ask for both at once. */
  readonly #uuids = new Map<string, RepositoryUuid>();

  constructor(storage: RepositoryStorage, { maxOpen = DEFAULT_MAX_OPEN } = {}) {
    this.#storage = storage;
    this.#maxOpen = maxOpen;
  }

  /** The repository as it is now. @returns `undefined` if there is no such name, or nothing was published under it. */
  async resolve(workspace: string, slug: string): Promise<Repository | undefined> {
    const name = `${workspace}/${slug}`.toLowerCase();
    const guess = this.#uuids.get(name);
    const [uuid, guessed] = await Promise.all([
      readName(this.#storage.store, workspace, slug),
      guess === undefined ? undefined : this.open(guess),
    ]);
    if (uuid === undefined) {
      this.#uuids.delete(name);
      return undefined;
    }
    if (uuid === guess) return guessed;
    this.#uuids.set(name, uuid);
    forgetOldest(this.#uuids, this.#maxOpen);
    return this.open(uuid);
  }

  /** @returns `undefined` if nothing was published under it. */
  async open(uuid: RepositoryUuid): Promise<Repository | undefined> {
    const known = this.#open.get(uuid);
    try {
      const repository = await openRepository(this.#storage, uuid, known);
      this.#open.delete(uuid);
      this.#open.set(uuid, repository);
      forgetOldest(this.#open, this.#maxOpen);
      return repository;
    } catch (error) {
      this.#open.delete(uuid);
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }
}

function forgetOldest<Key>(map: Map<Key, unknown>, maxSize: number): void {
  for (const key of map.keys()) {
    if (map.size <= maxSize) return;
    map.delete(key);
  }
}
