/** What reaches what in an object graph, with histories that may be cut off (shallow). */
import type { ObjectGraph } from "./object-graph.ts";

/** Commits whose parents are not looked at. */
export type Boundary = ReadonlySet<number>;

export const NO_BOUNDARY: Boundary = new Set();

/** Everything reachable from `starts`, those included. */
export function closure(graph: ObjectGraph, starts: Iterable<number>, boundary = NO_BOUNDARY): Set<number> {
  return addClosure(graph, new Set(), starts, boundary);
}

/** Adds to `reached`; what is there already is not looked at again. */
export function addClosure(
  graph: ObjectGraph,
  reached: Set<number>,
  starts: Iterable<number>,
  boundary = NO_BOUNDARY,
): Set<number> {
  const waiting = [...starts];
  for (let object = waiting.pop(); object !== undefined; object = waiting.pop()) {
    if (reached.has(object)) continue;
    reached.add(object);
    const links = boundary.has(object) ? graph.links(object).subarray(0, 1) : graph.links(object);
    for (const link of links) if (!reached.has(link)) waiting.push(link);
  }
  return reached;
}

export function commitsAmong(graph: ObjectGraph, objects: Iterable<number>): number[] {
  return [...objects].filter((object) => graph.type(object) === "commit");
}

/** The commits at which a clone of `depth` commits ends. */
export function boundaryAtDepth(graph: ObjectGraph, tips: Iterable<number>, depth: number): Set<number> {
  let level = new Set(tips);
  const seen = new Set<number>();
  for (let distance = 1; distance < depth; distance++) {
    const next = new Set<number>();
    for (const commit of level) seen.add(commit);
    for (const commit of level) {
      for (const parent of graph.parents(commit)) if (!seen.has(parent)) next.add(parent);
    }
    level = next;
  }
  return new Set([...level].filter((commit) => !seen.has(commit) && graph.parents(commit).length > 0));
}

/**
 * What `commits` bring in, each compared path by path with those of its parents that count: an upper bound for what a
 * fetch of them must send.
 */
export function introducedBy(
  graph: ObjectGraph,
  commits: Iterable<number>,
  boundary = NO_BOUNDARY,
): Set<number> {
  const introduced = new Set<number>();
  for (const commit of commits) {
    introduced.add(commit);
    const parents = boundary.has(commit) ? [] : [...graph.parents(commit)];
    const [tree] = graph.links(commit);
    if (tree === undefined) continue;
    const parentTrees = parents.flatMap((parent) => [...graph.links(parent).subarray(0, 1)]);
    if (!parentTrees.includes(tree)) addIntroduced(graph, introduced, tree, parentTrees);
  }
  return introduced;
}

function addIntroduced(
  graph: ObjectGraph,
  introduced: Set<number>,
  tree: number,
  parentTrees: readonly number[],
): void {
  if (parentTrees.length === 0) {
    // Some of its trees may be there already, without what they hold.
    for (const object of closure(graph, [tree])) introduced.add(object);
    return;
  }
  introduced.add(tree);
  const names = graph.entryNames(tree);
  const parentEntries = parentTrees.map((parentTree) => entriesOf(graph, parentTree));
  for (const [i, object] of graph.links(tree).entries()) {
    const before = parentEntries.flatMap((entries) => entries.get(names[i] ?? -1) ?? []);
    if (before.includes(object)) continue;
    if (graph.type(object) !== "tree") introduced.add(object);
    else {
      const foldersBefore = before.filter((other) => graph.type(other) === "tree");
      addIntroduced(graph, introduced, object, foldersBefore);
    }
  }
}

function entriesOf(graph: ObjectGraph, tree: number): Map<number, number> {
  const links = graph.links(tree);
  return new Map(Array.from(graph.entryNames(tree), (name, i) => [name, links[i] ?? -1]));
}

/** Whether one of `commits` is older than one of its parents. */
export function clocksLie(graph: ObjectGraph, commits: Iterable<number>): boolean {
  for (const commit of commits) {
    for (const parent of graph.parents(commit))
      if (graph.seconds(commit) < graph.seconds(parent)) return true;
  }
  return false;
}
