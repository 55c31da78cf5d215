/**
 * Which objects the trees of some commits hold, as far as histories let guess without a look into a tree: of all that was ever
 * at one path, what was introduced last. It takes what was deleted since for still there, and knows only one of the paths of
 * an object; so it is good for reading ahead, and for nothing else.
 */
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { CommitHistory } from "./commit-history.ts";

/** One bit each. */
export const COMMITS_AT_ONCE = 32;

export interface LikelyContents {
  readonly trees: readonly number[];
  readonly others: readonly number[];
}

/**
 * One pass over the history.
 * @param rows - Of the commits, {@link COMMITS_AT_ONCE} at most.
 * @returns Object numbers, those of newer commits first, some of them more than once.
 */
export function likelyContents(history: CommitHistory, rows: readonly number[]): LikelyContents {
  const trees: number[] = [];
  const others: number[] = [];
  const reached = history.reachedBy(rows);
  // All versions of what is at one path stem from one object.
  const paths = history.versionForest.roots;
  /** By path: the commits of which the newest version has been found. */
  const found = new Uint32Array(paths.length);
  for (let row = reached.length - 1; row >= 0; row--) {
    const commits = reached[row] as number;
    if (commits === 0) continue;
    for (const objectNumber of history.introduced(row)) {
      const path = paths[objectNumber] as number;
      const before = found[path] as number;
      if ((commits & ~before) === 0) continue;
      found[path] = before | commits;
      (history.types[objectNumber] === OBJECT_TYPE.tree ? trees : others).push(objectNumber);
    }
  }
  return { trees, others };
}
