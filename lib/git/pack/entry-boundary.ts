/**
 * Finds a place in the middle of a pack where an entry begins, so that several threads can scan one pack. What is found
 * is a guess until the scan of the stretch before ends exactly there.
 */
import { CorruptPackError } from "../../errors.ts";
import type { EntryInflater } from "./inflate.ts";
import { decodeEntryHead, type EntryHead, MAX_ENTRY_HEAD_BYTES } from "./pack-format.ts";
import type { PackSource } from "./pack-source.ts";

/** Larger entries are passed over: what looks like one may be any bytes. */
const MAX_PROBED_BYTES = 2 ** 20;
/** A pack made to look full of entries shall not cost more than a scan from its start would. */
const MAX_TOTAL_PROBED_BYTES = 2 ** 26;

/** @returns The first likely beginning at or after `fromOffsetBytes` and before `toOffsetBytes`; else `toOffsetBytes`. */
export function findEntryBoundary(
  source: PackSource,
  fromOffsetBytes: number,
  toOffsetBytes: number,
  inflater: EntryInflater,
): number {
  const scratch = new Uint8Array(MAX_PROBED_BYTES + 1);
  let probedBytes = 0;
  let offsetBytes = fromOffsetBytes;
  while (offsetBytes < toOffsetBytes && source.hasEntryAt(offsetBytes)) {
    const window = source.window(offsetBytes, MAX_ENTRY_HEAD_BYTES + 2);
    const lastStart = Math.max(
      1,
      Math.min(window.length - MAX_ENTRY_HEAD_BYTES - 2, toOffsetBytes - offsetBytes),
    );
    let moved = lastStart;
    for (let index = 0; index < lastStart; index++) {
      const head = likelyHead(window, index, offsetBytes + index);
      if (head === undefined) continue;
      probedBytes += head.inflatedBytes + MAX_ENTRY_HEAD_BYTES;
      if (probedBytes > MAX_TOTAL_PROBED_BYTES) return toOffsetBytes;
      if (inflates(inflater, source, offsetBytes + index, head, scratch)) return offsetBytes + index;
      // Inflating may have replaced the window.
      moved = index + 1;
      break;
    }
    offsetBytes += moved;
  }
  return toOffsetBytes;
}

function likelyHead(window: Uint8Array, index: number, offsetBytes: number): EntryHead | undefined {
  const type = ((window[index] as number) >> 4) & 7;
  if (type === 0 || type === 5) return undefined;
  let head: EntryHead;
  try {
    head = decodeEntryHead(window, index, window.length);
  } catch (error) {
    if (error instanceof CorruptPackError) return undefined;
    throw error;
  }
  if (head.inflatedBytes > MAX_PROBED_BYTES || head.baseDistanceBytes > offsetBytes) return undefined;
  const cmf = window[index + head.headBytes];
  const flags = window[index + head.headBytes + 1];
  if (cmf === undefined || flags === undefined) return undefined;
  // RFC 1950: deflate, a window of at most 32 KiB, a check of the two bytes, no preset dictionary.
  const isZlib =
    (cmf & 0x0f) === 8 && cmf >> 4 <= 7 && (cmf * 256 + flags) % 31 === 0 && (flags & 0x20) === 0;
  return isZlib ? head : undefined;
}

function inflates(
  inflater: EntryInflater,
  source: PackSource,
  offsetBytes: number,
  head: EntryHead,
  scratch: Uint8Array,
): boolean {
  try {
    inflater.inflate(
      { source, offsetBytes: offsetBytes + head.headBytes, inflatedBytes: head.inflatedBytes },
      scratch,
      0,
    );
    return true;
  } catch (error) {
    if (error instanceof CorruptPackError) return false;
    throw error;
  }
}
