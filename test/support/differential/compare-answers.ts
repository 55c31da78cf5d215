/** Holds the mirror's answer against git's: what must be equal, and what must hold whatever git sent. */
import type { Acknowledgment, FetchAnswer } from "./fetch-answer.ts";
import type { FetchCase } from "./fetch-case.ts";
import { addClosure, closure, commitsAmong, introducedBy } from "./graph-walk.ts";
import type { ObjectGraph } from "./object-graph.ts";
import type { RequestSubject } from "./random-request.ts";
import type { ReceivedPack } from "./received-pack.ts";
import type { Exchange } from "./request-tester.ts";

export interface PackComparison {
  readonly fetchCase: FetchCase;
  readonly subject: RequestSubject;
  readonly shallowInfo: readonly string[];
  readonly gitObjectCount: number;
  /** Not always looked at. */
  readonly gitSentIds: readonly string[] | undefined;
  readonly mirrorPack: ReceivedPack;
}

/** @returns What is wrong with everything but the packs. */
export function compareWords(
  { fetchCase, subject: { graph, reachable }, isGuess }: Exchange,
  git: FetchAnswer,
  mirror: FetchAnswer,
): string[] {
  const differences: string[] = [];
  const isKnown = (id: string) => reachable.has(graph.find(id));
  const wantsUnreachable = fetchCase.wants.some((id) => !isKnown(id));
  if (wantsUnreachable) {
    // git's protocol 2 serves whatever it still holds.
    const isRefused = mirror.error?.includes("not our ref") === true;
    const isRefusedByBoth = git.error !== undefined && mirror.error !== undefined;
    return isRefused || isRefusedByBoth
      ? []
      : [`a want is not reachable, the mirror says ${mirror.error ?? "nothing"}`];
  }
  if (isGuess) return [];
  if (git.error !== undefined || mirror.error !== undefined) {
    if (git.error === undefined) return [`the mirror fails, git does not: ${mirror.error}`];
    return mirror.error === undefined ? [`git fails, the mirror does not: ${git.error}`] : [];
  }
  const [gitCommon, mirrorCommon] = [git, mirror].map((answer) => commonHaves(fetchCase, answer, isKnown));
  // What is not recent need not be acknowledged where a pack follows.
  const isExcerpt = mirror.isFromRecent === true && mirror.pack !== undefined;
  const compared = isExcerpt ? gitCommon?.filter((id) => mirrorCommon?.includes(id)) : gitCommon;
  differences.push(...compareLines("common haves", compared, mirrorCommon));
  for (const { id, status } of mirror.acks) {
    if (graph.find(id) < 0 && (status === "common" || fetchCase.protocol === 2)) {
      differences.push(`a have that never existed is said to be common: ${id}`);
    }
  }
  const maxPacketBytes = fetchCase.capabilities.has("side-band") ? 1000 : 65_520;
  if (mirror.longestPacketBytes > maxPacketBytes)
    differences.push(`a packet of ${mirror.longestPacketBytes} bytes`);
  return differences;
}

/** @returns What is wrong with what comes right before the packs. */
export function comparePreludes(git: FetchAnswer, mirror: FetchAnswer): string[] {
  return [
    ...compareLines("shallow info", git.shallowInfo, mirror.shallowInfo),
    ...compareLines("wanted refs", git.wantedRefs, mirror.wantedRefs),
  ];
}

function compareLines(what: string, git: readonly string[] = [], mirror: readonly string[] = []): string[] {
  const isSame = git.join() === mirror.join();
  return isSame ? [] : [`${what}: git [${git.join(", ")}], mirror [${mirror.join(", ")}]`];
}

/** What the answer must acknowledge, whatever else the server still holds. */
function commonHaves(
  { protocol, capabilities, haves }: FetchCase,
  { acks }: FetchAnswer,
  isKnown: (id: string) => boolean,
): string[] {
  if (protocol === 2) return acks.filter(({ id }) => isKnown(id)).map(({ id }) => id);
  const hasMultiAck = capabilities.has("multi_ack") || capabilities.has("multi_ack_detailed");
  if (hasMultiAck) {
    const isCommon = ({ id, status }: Acknowledgment) => isKnown(id) && /common|continue/.test(status);
    return acks.filter(isCommon).map(({ id, status }) => `${id} ${status}`);
  }
  // Only the first common one is named. git goes on while it learns nothing new from the next; clients read one line.
  return haves.slice(0, 1).filter(isKnown).length === 0 ? [] : acks.slice(0, 1).map(({ id }) => id);
}

/** @returns What is wrong with the mirror's pack. */
export function comparePacks(comparison: PackComparison): string[] {
  const { fetchCase, subject, mirrorPack, gitObjectCount, gitSentIds = [] } = comparison;
  const { graph } = subject;
  const clientHas = heldByClient(comparison);
  const sent = new Set(mirrorPack.sentIds.map((id) => graph.find(id)));
  const sentByGit = gitSentIds.map((id) => graph.numberOf(id));
  const wanted = wantedObjects(comparison);
  const reachedByWants = closure(graph, wanted);
  const allowed = allowedToSend(comparison, wanted);
  const differences: string[] = [];
  const expectNone = (what: string, objects: readonly number[]): void => {
    if (objects.length === 0) return;
    const shown = objects
      .slice(0, 5)
      .map((object) => `${object < 0 ? "?" : graph.type(object)} ${graph.id(object)}`);
    differences.push(`${objects.length} ${what}: ${shown.join(", ")}`);
  };
  // git may send what the client has, and then the tags of that.
  const isTagOfHeld = (object: number): boolean =>
    graph.type(object) === "tag" && clientHas.has(graph.peel(object)) && !reachedByWants.has(object);
  expectNone(
    "objects that git sends are missing",
    sentByGit.filter((object) => !sent.has(object) && !clientHas.has(object) && !isTagOfHeld(object)),
  );
  expectNone(
    "objects are sent that the wants do not reach",
    [...sent].filter((object) => !allowed.has(object)),
  );
  if (fetchCase.filter === undefined) {
    const boundary = boundaryAfter(comparison);
    const needed = closure(graph, wanted, boundary);
    // What is sent may be outside of what the wants reach: below the client's own commits, where it deepens.
    if (fetchCase.capabilities.has("include-tag")) addClosure(graph, needed, tagsOf(subject, sent), boundary);
    expectNone(
      "objects of the wants are missing",
      [...needed].filter((object) => !sent.has(object) && !clientHas.has(object)),
    );
  } else if (comparison.gitSentIds !== undefined) {
    expectNone("objects are sent against the filter", againstFilter(comparison, sent, wanted));
  }
  const bases = mirrorPack.baseIds.map((id) => graph.find(id));
  expectNone(
    "bases are deltas' that the client lacks",
    bases.filter((object) => !clientHas.has(object)),
  );
  if (sent.size !== mirrorPack.sentIds.length) differences.push("objects are sent twice");
  if (!fetchCase.capabilities.has("ofs-delta") && mirrorPack.hasOfsDeltas)
    differences.push("OFS_DELTA, unasked");
  const limit = subject.clocksLie ? allowed.size : slackLimit(comparison, wanted, clientHas);
  if (sent.size > limit) {
    differences.push(`${sent.size} objects, more than ${limit}; git sends ${gitObjectCount}`);
  }
  return differences;
}

/** The annotated tags that point to what is sent. */
function tagsOf({ graph, refList: { refs } }: RequestSubject, sent: ReadonlySet<number>): number[] {
  return refs
    .filter(({ name, peeledId = "" }) => name.startsWith("refs/tags/") && sent.has(graph.find(peeledId)))
    .map(({ id }) => graph.numberOf(id));
}

/** What a client that sends such haves must have: the mirror may build on that, and on nothing else. */
export function heldByClient({ fetchCase, subject: { graph } }: PackComparison): Set<number> {
  const { haves, shallows } = fetchCase;
  return closure(graph, known(graph, [...haves, ...shallows]), new Set(known(graph, shallows)));
}

/** Where the client's history is cut off when it has taken the answer. */
export function boundaryAfter({ fetchCase, shallowInfo, subject: { graph } }: PackComparison): Set<number> {
  const ids = new Set(fetchCase.shallows);
  for (const line of shallowInfo) {
    if (line.startsWith("shallow ")) ids.add(line.slice("shallow ".length));
    else ids.delete(line.slice("unshallow ".length));
  }
  return new Set(known(graph, ids));
}

export function wantedObjects({ fetchCase, subject: { graph, refList } }: PackComparison): number[] {
  const idOf = (name: string) => refList.refs.find((ref) => ref.name === name)?.id ?? headId(refList);
  return known(graph, [...fetchCase.wants, ...fetchCase.wantRefs.map(idOf)]);
}

function headId({ head, refs }: RequestSubject["refList"]): string {
  return "ref" in head ? (refs.find(({ name }) => name === head.ref)?.id ?? "") : head.id;
}

function known(graph: ObjectGraph, ids: Iterable<string>): number[] {
  return [...ids].map((id) => graph.find(id)).filter((object) => object >= 0);
}

function allowedToSend(comparison: PackComparison, wanted: readonly number[]): Set<number> {
  const { fetchCase, subject } = comparison;
  const { graph, refList } = subject;
  const allowed = closure(graph, wanted);
  // Deepened history starts at the client's own commits, which need not be below the wants.
  if (fetchCase.deepening !== undefined) addClosure(graph, allowed, known(graph, fetchCase.shallows));
  if (fetchCase.capabilities.has("include-tag")) {
    for (const { id, peeledId } of refList.refs) {
      if (peeledId !== undefined && allowed.has(graph.find(peeledId)))
        addClosure(graph, allowed, [graph.find(id)]);
    }
  }
  return allowed;
}

function againstFilter(
  comparison: PackComparison,
  sent: ReadonlySet<number>,
  wanted: readonly number[],
): number[] {
  const { fetchCase, gitSentIds } = comparison;
  const { graph } = comparison.subject;
  const { filter = "" } = fetchCase;
  const limitBytes = Number(/^blob:limit=(\d+)$/.exec(filter)?.[1] ?? Number.POSITIVE_INFINITY);
  const isAgainst = (object: number): boolean => {
    const type = graph.type(object);
    if (type === "tag" && fetchCase.capabilities.has("include-tag")) return false;
    if (filter === "tree:0") return type === "tree" || type === "blob";
    if (filter === "blob:none") return type === "blob";
    if (filter.startsWith("object:type=")) return filter !== `object:type=${type}`;
    return type === "blob" && graph.sizeBytes(object) >= limitBytes;
  };
  // What is wanted by name passes every filter, also if git knows that the client has it.
  const passing = new Set([...(gitSentIds ?? []).map((id) => graph.numberOf(id))]);
  for (let object of wanted) {
    for (; graph.type(object) === "tag"; object = graph.links(object)[0] ?? object) passing.add(object);
    passing.add(object);
  }
  return [...sent].filter((object) => isAgainst(object) && !passing.has(object));
}

/**
 * How many objects may be sent. What each commit that the client lacks introduces contains all that it needs, and is
 * known without looking at the trees of what it has; that some of it is there already (a revert) is the price. A quarter
 * more leaves room for answers prepared beforehand. Where commits are older than their parents, a walk that believes in dates
 * may find out late what the client has, as git's own does.
 */
function slackLimit(
  comparison: PackComparison,
  wanted: readonly number[],
  clientHas: ReadonlySet<number>,
): number {
  const { fetchCase, subject, gitObjectCount } = comparison;
  const { graph, reachable, refList } = subject;
  const boundary = boundaryAfter(comparison);
  const shallowBefore = new Set(known(graph, fetchCase.shallows));
  const common = known(graph, fetchCase.haves).filter((object) => reachable.has(object));
  const starts = [...wanted, ...(fetchCase.deepening === undefined ? [] : shallowBefore)];
  const before = closure(graph, common, shallowBefore);
  const after = closure(graph, starts, boundary);
  const lacking = commitsAmong(graph, after).filter((commit) => !before.has(commit));
  const needed = introducedBy(graph, lacking, boundary);
  const loose = wanted.filter((object) => graph.type(graph.peel(object)) !== "commit");
  // A commit's tree that is wanted by name is sent with all that it holds.
  for (const object of closure(graph, loose)) needed.add(object);
  const tagCount =
    [...clientHas, ...after].filter((object) => graph.type(object) === "tag").length + refList.refs.length;
  return Math.ceil(1.25 * Math.max(needed.size, gitObjectCount)) + 3 * tagCount;
}
