/** The refs of one generation as an immutable blob in packed-refs format, with peeled values. Source: git-pack-refs(1). */
import { createHash } from "node:crypto";
import { CorruptPackError, ProtocolError } from "../errors.ts";
import { bytesOfText, byteText } from "../git/byte-text.ts";
import type { Ref } from "../git/ports.ts";
import { isRefName } from "../git/ref-name.ts";
import type { WholeBlobs } from "../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { readManifest } from "./manifest.ts";
import { RefTable } from "./ref-table.ts";
import { asRepositoryDamage } from "./repository-damage.ts";

const LINE_FEED = 0x0a;
const HEADER = "# pack-refs with: peeled fully-peeled sorted \n";

export interface RefSnapshot {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly refCount: number;
}

/**
 * @param refs - In any order.
 * @throws {ProtocolError} A name that git would not accept, or twice the same.
 */
export function formatRefSnapshot(refs: readonly Ref[]): RefSnapshot {
  const sorted = refs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  let text = HEADER;
  let previousName: string | undefined;
  for (const { name, id, peeledId } of sorted) {
    if (!isRefName(name)) throw new ProtocolError("not a ref name", { name: name.slice(0, 200) });
    if (name === previousName) throw new ProtocolError("a ref is named twice", { name });
    previousName = name;
    text += `${id} ${name}\n`;
    if (peeledId !== undefined) text += `^${peeledId}\n`;
  }
  const bytes = bytesOfText(text);
  return { bytes, sha256: sha256Of(bytes), refCount: sorted.length };
}

/** @throws {CorruptPackError} Not what `formatRefSnapshot` makes, or its checksum is another. */
export function openRefSnapshot(bytes: Uint8Array, sha256: string): RefTable {
  if (!isRefSnapshot(bytes, sha256))
    throw new CorruptPackError("ref snapshot does not match its checksum", { sha256 });
  const header = byteText(bytes.subarray(0, HEADER.length));
  if (header !== HEADER || bytes.at(-1) !== LINE_FEED)
    throw new CorruptPackError("not a ref snapshot", { sha256 });
  return new RefTable(bytes, HEADER.length);
}

export function isRefSnapshot(bytes: Uint8Array, sha256: string): boolean {
  return sha256Of(bytes) === sha256;
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export interface PublishedRefs {
  readonly table: RefTable;
  readonly refCount: number;
}

/**
 * The served refs alone, to compare them. Two requests, one after the other.
 * @throws {NotFoundError} Nothing was published. @throws {StoredDocumentError} @throws {DamagedRepositoryError} What is there is damaged.
 */
export async function readPublishedRefs(store: WholeBlobs, uuid: RepositoryUuid): Promise<PublishedRefs> {
  const keys = repositoryKeys(uuid);
  const { snapshotId, sha256, refCount } = (await readManifest(store, uuid)).value.refs;
  return asRepositoryDamage(async () => {
    const { bytes } = await store.read(keys.refSnapshot(snapshotId));
    return { table: openRefSnapshot(bytes, sha256), refCount };
  });
}
