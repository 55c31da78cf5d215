/** Fills a store with a mirrored repository, using real git for packs and indexes: what serving is tested on. */
import { randomBytes, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { byteText } from "../../../lib/git/byte-text.ts";
import { type ObjectId, parseObjectId } from "../../../lib/git/object-id.ts";
import { decodePackHeader, PACK_TRAILER_BYTES } from "../../../lib/git/pack/pack-format.ts";
import type { Head, Ref } from "../../../lib/git/ports.ts";
import { type RepositoryUuid, repositoryKeys } from "../../../lib/repo/layout.ts";
import type { ManifestPack } from "../../../lib/repo/manifest.ts";
import { type PreviousManifest, publish } from "../../../lib/repo/publish.ts";
import { NO_DOCUMENT } from "../../../lib/repo/stored-document.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { writeName } from "../named-repository.ts";
import { git, gitBytes } from "./run-git.ts";

/** Deltas by offset, and everything that the refs reach. */
export const OFS_ALL = ["--delta-base-offset", "--all"];

export interface PackOptions {
  /** What goes in, in the words of git-rev-list(1): `main`, `^main~3`. */
  readonly revisions: readonly string[];
  /** Further options of git-pack-objects(1), such as `--all`. Default: deltas by offset. */
  readonly packObjectsOptions?: readonly string[];
}

export interface PublishOptions {
  readonly mayHoldUnreachable?: boolean;
}

export class MirrorBuilder {
  readonly uuid: RepositoryUuid;
  readonly #store: BlobStore;
  readonly #source: string;
  readonly #scratch: string;
  readonly #packs: ManifestPack[] = [];
  #published: PreviousManifest = NO_DOCUMENT;

  private constructor(store: BlobStore, uuid: RepositoryUuid, source: string, scratch: string) {
    this.#store = store;
    this.uuid = uuid;
    this.#source = source;
    this.#scratch = scratch;
  }

  /**
   * @param source - The bare repository to mirror.
   * @param scratch - A folder to be made: a repository into which git indexes each pack.
   */
  static async open(store: BlobStore, source: string, scratch: string): Promise<MirrorBuilder> {
    await gitBytes(["init", "--quiet", "--bare", scratch]);
    return new MirrorBuilder(store, randomUUID(), source, scratch);
  }

  /** Adds the newest pack. A thin one (`--thin`) gets completed, as a sync does. */
  async addPack({
    revisions,
    packObjectsOptions = ["--delta-base-offset"],
  }: PackOptions): Promise<ManifestPack> {
    const args = ["pack-objects", "--revs", "--stdout", "--quiet", ...packObjectsOptions];
    const input = `${revisions.join("\n")}\n`;
    const sent = await gitBytes(args, { cwd: this.#source, input });
    const held = new Set(await this.#objectIds());
    const output = await git(["index-pack", "--stdin", "--fix-thin"], { cwd: this.#scratch, input: sent });
    const file = join(this.#scratch, "objects/pack", `pack-${output.split("\t")[1]}`);
    const [pack, index] = await Promise.all([readFile(`${file}.pack`), readFile(`${file}.idx`)]);
    const sentEndBytes = sent.length - PACK_TRAILER_BYTES;
    const entries = (await git(["show-index"], { input: index })).split("\n").map((line) => line.split(" "));
    const repeated = entries.filter(([offset, id]) => Number(offset) < sentEndBytes && held.has(id ?? ""));
    const manifestPack: ManifestPack = {
      id: randomBytes(20).toString("hex"),
      packBytes: pack.length,
      indexBytes: index.length,
      objectCount: decodePackHeader(pack).objectCount,
      sentObjectCount: decodePackHeader(sent).objectCount,
      sentEndBytes,
      repeatedObjectCount: repeated.length,
      checksum: pack.subarray(-PACK_TRAILER_BYTES).toString("hex"),
    };
    const keys = repositoryKeys(this.uuid);
    await this.#store.write(keys.pack(manifestPack.id), pack);
    await this.#store.write(keys.packIndex(manifestPack.id), index);
    this.#packs.push(manifestPack);
    return manifestPack;
  }

  /** Publishes the source's refs as they are now, under the name as well. */
  async publish(workspace: string, slug: string, options: PublishOptions = {}): Promise<void> {
    const now = new Date();
    this.#published = await publish(this.#store, this.uuid, this.#published, {
      head: await readHead(this.#source),
      refs: await readRefs(this.#source),
      packs: this.#packs,
      mayHoldUnreachable: options.mayHoldUnreachable ?? false,
      publishedAt: now,
      verifiedAt: now,
    });
    await writeName(this.#store, workspace, slug, this.uuid);
  }

  async #objectIds(): Promise<string[]> {
    const format = "--batch-check=%(objectname)";
    return (await git(["cat-file", "--batch-all-objects", format], { cwd: this.#scratch })).split("\n");
  }
}

export async function readHead(repository: string): Promise<Head> {
  const text = (await readFile(join(repository, "HEAD"), "utf8")).trim();
  return text.startsWith("ref: ") ? { ref: text.slice("ref: ".length) } : { id: parseObjectId(text) };
}

/** @param env - Added to git's environment. */
export async function readRefs(
  repository: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Ref[]> {
  const refs = new Map<string, { id: ObjectId; peeledId?: ObjectId }>();
  const options = { cwd: repository, env };
  const { length } = await git(["for-each-ref"], options);
  if (length === 0) return [];
  const lines = byteText(await gitBytes(["show-ref", "--dereference"], options)).trimEnd();
  for (const line of lines.split("\n")) {
    const id = parseObjectId(line.slice(0, 40));
    const name = line.slice(41);
    const tag = refs.get(name.replace(/\^\{\}$/, ""));
    if (name.endsWith("^{}") && tag !== undefined) tag.peeledId = id;
    else refs.set(name, { id });
  }
  return [...refs].map(([name, ids]) => ({ name, ...ids }));
}
