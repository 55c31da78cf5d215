/** Checks that a mirrored repository equals the primary's, and that the store holds all of it, undamaged. */

import type { UpstreamGit } from "../bitbucket/upstream-git.ts";
import { CorruptPackError, LimitExceededError } from "../errors.ts";
import { OBJECT_ID_BYTES, objectIdAt } from "../git/object-id.ts";
import { indexStoredPack } from "../indexer/index-stored-pack.ts";
import { repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import type { ObjectDatabase } from "../repo/object-database.ts";
import { checkPacks } from "../repo/pack-bodies.ts";
import type { Repository } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { openUnnamedFile } from "../store/unnamed-file.ts";
import { compareRefs, isSameHead, type RefChange, tipsOf } from "./ref-changes.ts";

export interface RefComparison {
  /** From the mirror's refs to the primary's. */
  readonly changes: readonly RefChange[];
  readonly isSameHead: boolean;
}

/** @throws What `listRefs` of the upstream throws. @throws {DamagedRepositoryError} The mirror's refs are damaged. */
export async function compareWithPrimary(
  repository: Repository,
  upstream: UpstreamGit,
): Promise<RefComparison> {
  const [here, there] = await Promise.all([repository.readRefs(), upstream.listRefs()]);
  return { changes: compareRefs(here, there), isSameHead: isSameHead(here.head, there.head) };
}

export interface CheckOptions {
  readonly store: BlobStore;
  readonly signal?: AbortSignal | undefined;
  /** Temporary folder, large enough for the largest pack. By default the system's. */
  readonly temporaryFolder?: string | undefined;
}

export interface ObjectCheck {
  readonly packCount: number;
  readonly objectCount: number;
  /** What is wrong, in words; none if all is well. */
  readonly problems: readonly string[];
}

/** More of the same kind say nothing new. */
const MAX_PROBLEMS = 20;

/**
 * Reads every object of every pack: inflates it, resolves its deltas and hashes it; holds the result against the stored index,
 * and looks whether each object that a commit, tree, tag or ref names is there. Memory as for indexing one pack.
 * @throws {StoppedError} By the signal. And what the store throws but for what is missing or damaged.
 */
export async function checkObjects(repository: Repository, options: CheckOptions): Promise<ObjectCheck> {
  const problems = new Problems();
  const objects = await problems.catching("indexes", () => repository.openObjects());
  await problems.catching("packs", () => checkPacks(repository, options.store));
  for (const id of repository.damagedHistories)
    problems.add(`pack ${id}: its history sidecar is damaged or missing`);
  let objectCount = 0;
  for (const pack of repository.manifest.packs) {
    await problems.catching(`pack ${pack.id}`, async () => {
      objectCount += await checkPack(repository, pack, objects, problems, options);
    });
  }
  const refs = await problems.catching("refs", () => repository.readRefs());
  if (objects !== undefined && refs !== undefined) {
    for (const id of tipsOf(refs))
      if (objects.findId(id) < 0) problems.add(`object ${id}, which a ref names, is nowhere`);
  }
  return { packCount: repository.manifest.packs.length, objectCount, problems: problems.texts };
}

/** @returns How many objects it holds. @throws {CorruptPackError} It contradicts itself. */
async function checkPack(
  { uuid }: Repository,
  pack: ManifestPack,
  objects: ObjectDatabase | undefined,
  problems: Problems,
  { store, signal, temporaryFolder }: CheckOptions,
): Promise<number> {
  const keys = repositoryKeys(uuid);
  await using file = await openUnnamedFile(temporaryFolder);
  const chunks = store.readStream(keys.pack(pack.id), 0, pack.packBytes);
  // Without a way to read bases elsewhere: a pack in the store holds all that its deltas build on.
  const indexing = { file: file.handle, signal, historyLimits: "none" } as const;
  const found = await indexStoredPack(chunks, pack.packBytes, indexing);
  const { bytes: stored } = await store.read(keys.packIndex(pack.id));
  if (Buffer.compare(stored, found.index) !== 0)
    problems.add(`pack ${pack.id}: its index does not say what the pack holds`);
  const { ids } = found.openLinks;
  for (let start = 0; start < ids.length; start += OBJECT_ID_BYTES) {
    if (objects === undefined || objects.find(ids, start) >= 0) continue;
    problems.add(`pack ${pack.id}: object ${objectIdAt(ids, start)}, which it refers to, is nowhere`);
  }
  return found.objectCount;
}

class Problems {
  readonly #texts: string[] = [];

  get texts(): readonly string[] {
    return this.#texts;
  }

  add(text: string): void {
    if (this.#texts.length < MAX_PROBLEMS) this.#texts.push(text);
    else if (this.#texts.length === MAX_PROBLEMS) this.#texts.push("and more of this");
  }

  /** Damage is a finding; anything else is thrown. */
  async catching<Result>(what: string, read: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await asRepositoryDamage(read);
    } catch (error) {
      if (!(error instanceof CorruptPackError || error instanceof LimitExceededError)) throw error;
      const { cause } = error;
      this.add(`${what}: ${error.message}${cause instanceof Error ? `: ${cause.message}` : ""}`);
      return undefined;
    }
  }
}
