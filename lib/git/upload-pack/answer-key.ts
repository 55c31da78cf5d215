/**
 * Which answers are shared, and what names them.
 *
 * The key names everything that an answer's objects follow from, by object ids: what is wanted, what of the client's is here
 * too, where its history ends and is to end, and the filter. All of these mean the same in each generation, so a key holds no
 * generation, and an answer stays good through any number of pushes. It cannot hold too much either: each want is checked
 * against the refs before an answer is looked for, and the answer holds only what these wants reach.
 *
 * Three things depend on the refs. What `include-tag` adds: the annotated tags that there are belong to the key, so a tag that
 * comes or goes makes another key. Names that history is not to reach into: the key has what they point to. What is below
 * the commits that a client names as its history's end, for `deepen-relative` and for all of history: such answers are not
 * shared, because those commits need not be reachable from the wants.
 *
 * Which packs an object is copied from does not matter: any of them gives the same object.
 */
import { createHash } from "node:crypto";
import type { ObjectId } from "../object-id.ts";
import type { RefList } from "../ports.ts";
import { sortInSlices } from "../sort-in-slices.ts";
import { goesByTypeAndSize, type ObjectFilter } from "../walk/object-filter.ts";
import type { WorkSlices } from "../work-slices.ts";
import type { FetchRequest } from "./fetch-request.ts";
import { LOOK_UP_STEPS, refsStartingWith } from "./find-refs.ts";
import { INFINITE_DEPTH } from "./history-lines.ts";
import { findRefs } from "./revision.ts";

/** To be raised when answers under the same key would no longer do. */
const KEY_VERSION = 1;

/** Held, sorted and hashed. */
const MAX_KEY_IDS = 100_000;

export interface AnswerSubject {
  readonly wants: readonly ObjectId[];
  /** What of the client's haves is here too. */
  readonly commonIds: ReadonlySet<ObjectId>;
  /** Which of the commits that the client's history ends at are here too. */
  readonly shallows: readonly ObjectId[];
  readonly filter: ObjectFilter | undefined;
}

/**
 * Whether an answer takes work that others should be spared: history that is cut somewhere new, whose boundary's trees are
 * sent whole, and filters by depth or path, for which trees are walked. All else is copied after little thought, or is nearly
 * all that there is.
 */
export function isWorthSharing({ deepen, filter }: FetchRequest): boolean {
  if (deepen === undefined) {
    if (filter === undefined) return false;
    const { sparseNames, ...spec } = filter;
    return sparseNames.length > 0 || !goesByTypeAndSize({ ...spec, sparse: [] });
  }
  return deepen.kind === "revisions" || !(deepen.isRelative || deepen.depth >= INFINITE_DEPTH);
}

/** @returns `undefined` if a name in the request means no ref, or several, or the request names too many objects. */
export async function answerKey(
  request: FetchRequest,
  refList: RefList,
  { wants, commonIds, shallows, filter }: AnswerSubject,
  slices: WorkSlices,
): Promise<string | undefined> {
  if (wants.length + commonIds.size + shallows.length > MAX_KEY_IDS) return undefined;
  const excludedIds = await excludedIdsOf(request, refList, slices);
  if (excludedIds === undefined) return undefined;
  const { deepen } = request;
  const depth = deepen?.kind === "depth" ? deepen.depth : 0;
  const sinceSeconds = deepen?.kind === "revisions" ? deepen.sinceSeconds : 0;
  const parts = [
    KEY_VERSION,
    await sortInSlices(wants, slices),
    await sortInSlices(commonIds, slices),
    await sortInSlices(shallows, slices),
    [deepen?.kind ?? "", depth, sinceSeconds, excludedIds.toSorted()],
    // No limit becomes null in JSON, which no limit's value is.
    filter && [
      [...filter.types].toSorted(),
      filter.maxDepth,
      filter.maxBlobBytes,
      filter.sparse.map(({ digest }) => digest).toSorted(),
    ],
    request.ofsDelta,
    request.thinPack && commonIds.size > 0,
    request.includeTag ? annotatedTagsDigest(refList) : "",
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

async function excludedIdsOf(
  { deepen }: FetchRequest,
  refList: RefList,
  slices: WorkSlices,
): Promise<ObjectId[] | undefined> {
  if (deepen?.kind !== "revisions") return [];
  const ids: ObjectId[] = [];
  for (const name of deepen.excluded) {
    if (slices.isDue(LOOK_UP_STEPS)) await slices.pause();
    const [id, ...others] = findRefs(refList, name);
    if (id === undefined || others.length > 0) return undefined;
    ids.push(id);
  }
  return ids;
}

/** There may be 500,000 refs, and a list of them serves many requests. */
const digests = new WeakMap<RefList, string>();

/** @returns Empty if there are none: then asking for them makes no difference. */
function annotatedTagsDigest(refList: RefList): string {
  const known = digests.get(refList);
  if (known !== undefined) return known;
  const tags: string[] = [];
  for (const { id, peeledId } of refsStartingWith(refList, "refs/tags/")) {
    if (peeledId !== undefined) tags.push(`${id} ${peeledId}\n`);
  }
  const digest = tags.length === 0 ? "" : createHash("sha256").update(tags.toSorted().join("")).digest("hex");
  digests.set(refList, digest);
  return digest;
}
