/** Reads entries through what is kept at hand of packs: many with one read, and the next reads while one is used. */
import type { PackReader } from "../ports.ts";
import { type EntryWindow, locateInSlices, MAX_WINDOW_BYTES } from "./entry-window.ts";

/** Read over rather than skip: a request costs as much as reading this. */
const MAX_GAP_BYTES = 64 * 1024;
/** Reads under way: a store that takes 20 ms to answer is to be asked for all of a usual answer in few rounds. */
const MAX_READS_AHEAD = 48;
/** What a slow client holds of them. */
const MAX_BYTES_AHEAD = 2 * 1024 * 1024;

type PlannedWindow = Omit<EntryWindow, "bytes" | "isUnchecked"> & { readonly lengthBytes: number };

/** As `readEntryWindows`. */
export async function* readCachedWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
): AsyncGenerator<EntryWindow, void> {
  const planned = planWindows(packs, objectNumbers);
  const reading: { readonly window: PlannedWindow; readonly bytes: Promise<Uint8Array> }[] = [];
  let bytesAhead = 0;
  const readMore = (): void => {
    while (reading.length < MAX_READS_AHEAD && bytesAhead < MAX_BYTES_AHEAD) {
      const next = planned.next();
      if (next.done === true) return;
      const { packNumber, offsetBytes, lengthBytes } = next.value;
      const bytes = packs.readPackRange(packNumber, offsetBytes, lengthBytes).then(ownBytes);
      bytes.catch(() => undefined); // thrown when it is read, if it is
      reading.push({ window: next.value, bytes });
      bytesAhead += lengthBytes;
    }
  };
  readMore();
  for (let next = reading.shift(); next !== undefined; next = reading.shift()) {
    const bytes = await next.bytes;
    bytesAhead -= bytes.length;
    readMore();
    yield { ...next.window, bytes, isUnchecked: false };
  }
}

/** A view of a block keeps all of it in memory, also after its eviction from the cache. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length < bytes.buffer.byteLength / 2 ? new Uint8Array(bytes) : bytes;
}

function* planWindows(packs: PackReader, objectNumbers: Uint32Array): Generator<PlannedWindow, void> {
  for (const places of locateInSlices(packs, objectNumbers)) {
    const { packNumbers, offsets, ends } = places;
    for (let first = 0; first < offsets.length; ) {
      const packNumber = packNumbers[first] as number;
      const offsetBytes = offsets[first] as number;
      let endBytes = Math.min(ends[first] as number, offsetBytes + MAX_WINDOW_BYTES);
      let end = first + 1;
      for (; end < offsets.length; end++) {
        const isNear =
          packNumbers[end] === packNumber && (offsets[end] as number) - endBytes <= MAX_GAP_BYTES;
        if (!isNear || (ends[end] as number) - offsetBytes > MAX_WINDOW_BYTES) break;
        endBytes = ends[end] as number;
      }
      yield { places, first, end, packNumber, offsetBytes, lengthBytes: endBytes - offsetBytes };
      first = end;
    }
  }
}
