/** Writes a repository of the mirror to a disk as a bare git repository, as it is at one generation. */
import { createHash } from "node:crypto";
import { mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterCleanUp, ConfigError, CorruptPackError } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { makeFolder } from "../store/folder.ts";
import { repositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";
import { headText } from "./publish.ts";
import { formatRefSnapshot } from "./refs.ts";
import type { Repository } from "./repository.ts";
import { asRepositoryDamage } from "./repository-damage.ts";

const TRAILER_BYTES = 20;

const GIT_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

export interface ExportedRepository {
  readonly refCount: number;
  readonly packCount: number;
  readonly packBytes: number;
}

/**
 * It appears under its name when it is whole. Each pack is checked against its checksum on the way.
 * @param folder - Must not exist.
 * @throws {ConfigError} It exists. @throws {DamagedRepositoryError} What is in the store is damaged: nothing is left behind.
 */
export async function exportRepository(
  store: BlobStore,
  repository: Repository,
  folder: string,
): Promise<ExportedRepository> {
  const { manifest } = repository;
  const parent = dirname(folder);
  await makeFolder(parent, 0o777);
  // Created here, or it is an error: a rename would replace an existing empty folder.
  await makeNew(folder);
  const unfinished = join(parent, `.${basename(folder)}.unfinished-${process.pid}`);
  try {
    await rm(unfinished, { recursive: true, force: true });
    const packFolder = join(unfinished, "objects/pack");
    await mkdir(packFolder, { recursive: true });
    await mkdir(join(unfinished, "refs"));
    for (const pack of manifest.packs)
      await asRepositoryDamage(() => copyPack(store, repository.uuid, pack, packFolder));
    const refs = await repository.readRefs();
    await writeFile(join(unfinished, "config"), GIT_CONFIG);
    await writeFile(join(unfinished, "packed-refs"), formatRefSnapshot(refs.refs).bytes);
    // Last: without it git takes the folder for no repository. Names of refs are bytes.
    await writeFile(join(unfinished, "HEAD"), headText(refs.head), "latin1");
    await rename(unfinished, folder);
  } catch (error) {
    const folders = [unfinished, folder];
    throw await afterCleanUp(error, () =>
      Promise.all(folders.map((path) => rm(path, { recursive: true, force: true }))),
    );
  }
  return {
    refCount: manifest.refs.refCount,
    packCount: manifest.packs.length,
    packBytes: manifest.packs.reduce((sum, { packBytes }) => sum + packBytes, 0),
  };
}

async function makeNew(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new ConfigError(`${folder} is there already: name a folder that is not`, { cause: error });
  }
}

async function copyPack(store: BlobStore, uuid: string, pack: ManifestPack, folder: string): Promise<void> {
  const keys = repositoryKeys(uuid);
  const bodyBytes = pack.packBytes - TRAILER_BYTES;
  const file = await open(join(folder, `pack-${pack.id}.pack`), "wx", 0o444);
  try {
    const sha1 = createHash("sha1");
    let offsetBytes = 0;
    let trailer = Buffer.alloc(0);
    for await (const chunk of store.readStream(keys.pack(pack.id), 0, pack.packBytes)) {
      await file.writeFile(chunk);
      const bodyLeft = Math.max(0, bodyBytes - offsetBytes);
      sha1.update(chunk.subarray(0, bodyLeft));
      trailer = Buffer.concat([trailer, chunk.subarray(bodyLeft)]);
      offsetBytes += chunk.length;
    }
    if (!sha1.digest().equals(trailer))
      throw new CorruptPackError("pack trailer is not the checksum of its content", { packId: pack.id });
  } finally {
    await file.close();
  }
  const { bytes } = await store.read(keys.packIndex(pack.id));
  await writeFile(join(folder, `pack-${pack.id}.idx`), bytes, { flag: "wx", mode: 0o444 });
}
