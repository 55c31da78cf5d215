/** Compares two trees by their bytes: what differs is found at the speed of reading. Source: git-mktree(1). */
import { OBJECT_ID_BYTES } from "../object-id.ts";
import { TreeCursor } from "../objects.ts";
import type { ObjectBody } from "../pack/delta.ts";

/**
 * Calls `onDifference` for each entry of `tree` whose object is not in `parent` under the same name, in the tree's order.
 * @param onDifference - `inParent`: the parent's entry of that name and kind, file or folder. Both are valid during the call.
 * @param onGone - Called for each entry of `parent` whose object is not in `tree` under the same name.
 */
export function forEachDifference(
  tree: ObjectBody,
  parent: ObjectBody,
  onDifference: (entry: TreeCursor, inParent: TreeCursor | undefined) => void,
  onGone: (inParent: TreeCursor) => void = ignoreEntry,
): void {
  const aEnd = tree.start + tree.sizeBytes;
  const bEnd = parent.start + parent.sizeBytes;
  const entry = new TreeCursor(tree.bytes, tree.start, aEnd);
  const other = new TreeCursor(parent.bytes, parent.start, bEnd);
  // The cursors read only what differs.
  let p = tree.start;
  let q = parent.start;
  while (p < aEnd) {
    const equalBytes = equalEntryBytes(tree.bytes, p, aEnd, parent.bytes, q, bEnd);
    if (equalBytes > 0) {
      p += equalBytes;
      q += equalBytes;
      continue;
    }
    entry.moveTo(p);
    let order = 1;
    while (q < bEnd) {
      other.moveTo(q);
      order = entry.compareName(other);
      if (order <= 0) break;
      onGone(other);
      q = other.end;
    }
    p = entry.end;
    if (q >= bEnd || order < 0) onDifference(entry, undefined);
    else {
      q = other.end;
      if (entry.hasSameId(other) && entry.isGitlink === other.isGitlink) continue;
      onDifference(entry, other);
      onGone(other);
    }
  }
  for (; q < bEnd; q = other.end) {
    other.moveTo(q);
    onGone(other);
  }
}

function ignoreEntry(): void {}

/** @returns The length of the entry at `p` if an equal one is at `q`, else 0. */
function equalEntryBytes(
  a: Uint8Array,
  p: number,
  aEnd: number,
  b: Uint8Array,
  q: number,
  bEnd: number,
): number {
  const limit = Math.min(aEnd - p, bEnd - q);
  let length = 0;
  while (length < limit) {
    const byte = a[p + length];
    if (byte !== b[q + length]) return 0;
    length++;
    if (byte === 0) break;
  }
  const end = length + OBJECT_ID_BYTES;
  if (end > limit) return 0;
  while (length < end) {
    if (a[p + length] !== b[q + length]) return 0;
    length++;
  }
  return length;
}
