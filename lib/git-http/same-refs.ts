/**
 * Proves a caller's right by content: the primary shows the caller every ref that the mirror would serve, with the same object
 * ids, so it may read all of it, whatever repository the name means there. An object id fixes everything that it reaches.
 */
import { NotFoundError, ProtocolError } from "../errors.ts";
import { pktText } from "../git/pktline.ts";
import { PktLineReader } from "../git/pktline-reader.ts";
import { parseRepositoryUuid } from "../repo/layout.ts";
import { type PublishedRefs, readPublishedRefs } from "../repo/refs.ts";
import type { WholeBlobs } from "../store/blob-store.ts";

const SERVICE_LINE = "# service=git-upload-pack";

/** In version 0; capabilities follow the first ref's name. */
const REF_LINE = /^([0-9a-f]{40}) ([^\0]+)/;

/**
 * @param advertisement - The primary's `info/refs`, in version 0.
 * @throws {ProtocolError} It is no git answer, or truncated.
 */
export async function showsPublishedRefs(
  store: WholeBlobs,
  uuid: string,
  advertisement: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  let published: PublishedRefs;
  try {
    published = await readPublishedRefs(store, parseRepositoryUuid(uuid));
  } catch (error) {
    // Nothing is published, so nothing is served.
    if (error instanceof NotFoundError) return true;
    throw error;
  }
  const { table, refCount } = published;
  let shownCount = 0;
  let previousName = "";
  for await (const [id, name] of advertisedRefs(advertisement)) {
    // git sorts them; a name that is repeated does not count again.
    if (name <= previousName) continue;
    if (name.startsWith("refs/")) previousName = name;
    if (table.find(name)?.id === id) shownCount += 1;
  }
  return shownCount === refCount;
}

async function* advertisedRefs(
  advertisement: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly [id: string, name: string], void, undefined> {
  const reader = new PktLineReader(advertisement);
  try {
    // A git error has the same content type, and no refs either.
    const first = await reader.next();
    if (first.kind !== "data" || pktText(first.payload) !== SERVICE_LINE) {
      throw new ProtocolError("the primary's answer is not git's");
    }
    for (let line = await reader.next(); line.kind !== "end"; line = await reader.next()) {
      if (line.kind !== "data") continue;
      const [, id, name] = REF_LINE.exec(pktText(line.payload)) ?? [];
      if (id !== undefined && name !== undefined) yield [id, name];
    }
  } finally {
    await reader.close();
  }
}
