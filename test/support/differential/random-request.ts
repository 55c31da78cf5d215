/** A random client's random request: what it has, what it wants, how it speaks. */
import { execFileSync } from "node:child_process";
import type { RefList } from "../../../lib/git/ports.ts";
import type { Deepening, FetchCase } from "./fetch-case.ts";
import { boundaryAtDepth, closure, commitsAmong, NO_BOUNDARY } from "./graph-walk.ts";
import type { ObjectGraph } from "./object-graph.ts";
import type { Random } from "./random.ts";
import { SPARSE_TAG } from "./random-pushes.ts";
import type { ServerOffer } from "./server-offer.ts";

/** Git 2.54 changed what `deepen-relative` means; the mirror does as it does. */
const GIT_COUNTS_FROM_WANTS = isNewGit(execFileSync("git", ["version"], { encoding: "utf8" }));

function isNewGit(versionLine: string): boolean {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(versionLine) ?? [];
  return Number(major) * 1_000 + Number(minor) >= 2_054;
}

export interface RequestSubject {
  readonly graph: ObjectGraph;
  readonly refList: RefList;
  /** Every commit there ever was, oldest first. */
  readonly commitIds: readonly string[];
  /** What refs and HEAD reach. */
  readonly reachable: ReadonlySet<number>;
  /** A commit is older than one of its parents. */
  readonly clocksLie: boolean;
  readonly offer: ServerOffer;
}

interface Client {
  readonly haves: readonly string[];
  readonly shallows: readonly string[];
}

export function randomFetch(random: Random, subject: RequestSubject): FetchCase {
  if (random.chance(0.3) && subject.refList.refs.length > 0) return randomNews(random, subject);
  const protocol = random.pick([0, 1, 2, 2, 2] as const);
  const offered = protocol === 2 ? subject.offer.fetch : subject.offer.v0;
  const wants = randomWants(random, subject);
  const refNames = subject.refList.refs.map(({ name }) => name);
  const wantRefs = random.chance(0.15) ? random.sample([...refNames, "HEAD"], random.between(1, 3)) : [];
  const usesRefs = protocol === 2 && offered.has("ref-in-want");
  const client = randomClient(random, subject, wants);
  const deepening = randomDeepening(random, subject);
  const filter = random.chance(0.25) ? randomFilter(random, subject) : undefined;
  const knowsShallow = offered.has("shallow");
  const mayDeepen =
    knowsShallow && deepening !== undefined && (protocol === 2 || isOffered(deepening, offered));
  return {
    protocol,
    wants: usesRefs && wantRefs.length > 0 && random.chance(0.7) ? [] : wants,
    wantRefs: usesRefs ? wantRefs : [],
    haves: client.haves,
    shallows: knowsShallow ? client.shallows : [],
    ...(mayDeepen ? { deepening } : {}),
    ...(filter !== undefined && offered.has("filter") ? { filter } : {}),
    capabilities: randomCapabilities(random, protocol, offered),
    isDone: random.chance(0.6) || client.haves.length === 0,
  };
}

/** What `git fetch` asks for day by day: tips of refs, by a client that has the history up to some commits. */
function randomNews(random: Random, subject: RequestSubject): FetchCase {
  const { graph, refList, commitIds } = subject;
  const tips = [...new Set(refList.refs.map(({ id }) => String(id)))];
  const wants = random.sample(tips, random.between(1, 4));
  const held = new Set<number>();
  for (let count = random.between(1, 3); count > 0; count--)
    held.add(below(random, graph, tips) ?? graph.numberOf(random.pickLate(commitIds)));
  const others = commitsAmong(graph, closure(graph, held, NO_BOUNDARY));
  const haves = [...held, ...random.sample(others, random.pick([0, 1, 16, 16, 200]))];
  const unknown = random.chance(0.2) ? [random.hex(40)] : [];
  return {
    ...{ protocol: 2, wants, wantRefs: [], shallows: [] },
    haves: [...new Set([...haves.map((commit) => graph.id(commit)), ...unknown])],
    capabilities: randomCapabilities(random, 2, subject.offer.fetch),
    isDone: random.chance(0.4),
  };
}

function isOffered(deepening: Deepening, offered: ReadonlySet<string>): boolean {
  if (deepening.kind === "depth") return !deepening.isRelative || offered.has("deepen-relative");
  return (
    (deepening.sinceSeconds === undefined || offered.has("deepen-since")) &&
    (deepening.notRefs.length === 0 || offered.has("deepen-not"))
  );
}

function randomWants(random: Random, { graph, refList, commitIds, reachable }: RequestSubject): string[] {
  const tips = [...new Set(refList.refs.map(({ id }) => String(id)))];
  if ("id" in refList.head) tips.push(refList.head.id);
  const roll = random.below(100);
  if (tips.length === 0) return [random.hex(40)];
  if (roll < 25) return random.shuffle([...new Set(tips)]);
  if (roll < 60) return random.sample([...new Set(tips)], random.between(1, 3));
  if (roll < 80) return sampleReachable(random, graph, reachable, (type) => type === "commit");
  if (roll < 88) return sampleReachable(random, graph, reachable, () => true);
  if (roll < 95) return random.sample(commitIds, random.between(1, 2));
  return [...random.sample(tips, 1), random.hex(40)];
}

function sampleReachable(
  random: Random,
  graph: ObjectGraph,
  reachable: ReadonlySet<number>,
  accepts: (type: string) => boolean,
): string[] {
  const candidates = [...reachable].filter((object) => accepts(graph.type(object)));
  return random.sample(candidates, random.between(1, 4)).map((object) => graph.id(object));
}

function randomClient(random: Random, subject: RequestSubject, wants: readonly string[]): Client {
  const { graph, commitIds, reachable } = subject;
  if (random.chance(0.2)) return { haves: [], shallows: [] };
  const tips = new Set<number>();
  for (let count = random.between(1, 4); count > 0; count--) {
    if (random.chance(0.5)) tips.add(graph.numberOf(random.pickLate(commitIds)));
    else tips.add(below(random, graph, wants) ?? graph.numberOf(random.pick(commitIds)));
  }
  const isShallow = random.chance(0.25);
  const depth = random.between(1, 6);
  const boundary = isShallow ? boundaryAtDepth(graph, tips, depth) : NO_BOUNDARY;
  const held = commitsAmong(graph, closure(graph, tips, boundary));
  const haveCount = random.pick([0, 1, 3, 20, 200]);
  const haves = random.sample(held, haveCount).map((commit) => graph.id(commit));
  if (random.chance(0.8)) haves.unshift(...[...tips].map((commit) => graph.id(commit)));
  if (random.chance(0.15)) haves.splice(random.below(haves.length + 1), 0, random.hex(40), random.hex(40));
  if (random.chance(0.1) && boundary.size === 0) {
    const tags = [...reachable].filter((object) => graph.type(object) === "tag");
    haves.push(...random.sample(tags, 2).map((tag) => graph.id(tag)));
  }
  const shallows = [...boundary].map((commit) => graph.id(commit));
  if (isShallow && random.chance(0.1)) shallows.push(random.hex(40));
  return { haves: [...new Set(haves)], shallows };
}

/** A commit some generations below a want. */
function below(random: Random, graph: ObjectGraph, wants: readonly string[]): number | undefined {
  const want = graph.find(random.pick(wants));
  let commit = want < 0 ? want : graph.peel(want);
  if (commit < 0 || graph.type(commit) !== "commit") return undefined;
  for (let generations = random.pick([0, 1, 1, 2, 5, 15]); generations > 0; generations--) {
    const parents = [...graph.parents(commit)];
    if (parents.length === 0) break;
    commit = random.pick(parents);
  }
  return commit;
}

function randomDeepening(
  random: Random,
  { graph, refList, commitIds }: RequestSubject,
): Deepening | undefined {
  const roll = random.below(100);
  const commit = graph.numberOf(random.pick(commitIds));
  const names = refList.refs.filter(({ id }) => graph.type(graph.peel(graph.find(id))) === "commit");
  const notRefs = random.sample(names, random.between(1, 2)).map(({ name }) => name);
  const sinceSeconds = graph.seconds(commit) + random.between(-1, 1);
  const depth = random.pick([1, 1, 2, 3, 5, 10, 50, 0x7fff_ffff]);
  const isRelative = random.chance(0.3) && GIT_COUNTS_FROM_WANTS;
  if (roll < 20) return { kind: "depth", depth, isRelative: isRelative && depth < 1000 };
  if (roll < 25) return { kind: "until", sinceSeconds, notRefs: [] };
  if (roll < 30 && notRefs.length > 0) return { kind: "until", notRefs };
  if (roll < 32 && notRefs.length > 0) return { kind: "until", sinceSeconds, notRefs };
  return undefined;
}

function randomFilter(random: Random, { graph, reachable, refList }: RequestSubject): string {
  const sparse = refList.refs.find(({ name }) => name === `refs/tags/${SPARSE_TAG}`);
  const blobs = [...reachable].filter((object) => graph.type(object) === "blob");
  const simple = () =>
    random.pick([
      "blob:none",
      ...(sparse === undefined ? [] : [`sparse:oid=${random.pick([sparse.id, SPARSE_TAG])}`]),
      `blob:limit=${random.pick(["0", "1", "100", "500", "1k", "1m"])}`,
      `tree:${random.below(5)}`,
      `object:type=${random.pick(["commit", "tree", "blob", "tag"])}`,
      ...(blobs.length > 0 ? [`blob:limit=${graph.sizeBytes(random.pick(blobs))}`] : []),
    ]);
  if (random.chance(0.8)) return simple();
  return `combine:${[simple(), simple()].map((filter) => encodeURIComponent(filter)).join("+")}`;
}

function randomCapabilities(random: Random, protocol: 0 | 1 | 2, offered: ReadonlySet<string>): Set<string> {
  const words = ["thin-pack", "ofs-delta", "no-progress", "include-tag"].filter(() => random.chance(0.5));
  const sideband = random.pick(["side-band-64k", "side-band-64k", "side-band", ""]);
  const multiAck = random.pick(["multi_ack_detailed", "multi_ack_detailed", "multi_ack", ""]);
  const noDone = random.chance(0.5) ? "no-done" : "";
  const [waitForDone, sidebandAll] = [random.chance(0.1), random.chance(0.2)];
  if (protocol === 2) {
    if (waitForDone && offered.has("wait-for-done")) words.push("wait-for-done");
    if (sidebandAll && offered.has("sideband-all")) words.push("sideband-all");
    return new Set(words);
  }
  const isDetailed = multiAck === "multi_ack_detailed";
  words.push(sideband, multiAck, isDetailed ? noDone : "");
  return new Set(words.filter((word) => word !== "" && offered.has(word)));
}
