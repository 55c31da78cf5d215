/** Answers `ls-refs`. Source: gitprotocol-v2(5), "ls-refs". */
import { encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { RefList } from "../ports.ts";
import { sortInSlices } from "../sort-in-slices.ts";
import type { WorkSlices } from "../work-slices.ts";
import type { LsRefsRequest } from "./fetch-request.ts";
import {
  encodeRef,
  findRef,
  LOOK_UP_STEPS,
  refLines,
  refPlaces,
  refsStartingWith,
  resolveHead,
} from "./find-refs.ts";

/** In chunks of whole pkt-lines. */
export async function listRefs(
  refList: RefList,
  request: LsRefsRequest,
  slices: WorkSlices,
): Promise<Iterable<Uint8Array>> {
  const prefixes = await minimalPrefixes(request.prefixes, slices);
  const listed: string[] = [];
  for (const prefix of prefixes) {
    if (slices.isDue(LOOK_UP_STEPS)) await slices.pause();
    const [first] = refsStartingWith(refList, prefix);
    if (first !== undefined) listed.push(prefix);
  }
  const listsHead = prefixes.some((prefix) => "HEAD".startsWith(prefix));
  return refsOf(refList, request, listed, listsHead);
}

/** @param prefixes - Of at least one ref each. */
function* refsOf(
  refList: RefList,
  request: LsRefsRequest,
  prefixes: readonly string[],
  listsHead: boolean,
): Generator<Uint8Array, void> {
  if (listsHead) yield* headLine(refList, request);
  const form = request.peel ? "listed-peeled" : "listed";
  const symrefs = request.symrefs ? refList.symrefs : undefined;
  for (const prefix of prefixes) yield* refLines(refList, prefix, form, symrefs);
  yield FLUSH_PKT;
}

export interface MissingRef {
  /** As git sends it: as it was given, or what refs begin with. */
  readonly name: string;
  /** It can only be this ref, and not any number of refs, so a client without it fails. */
  readonly isOne: boolean;
}

/**
 * Finds a ref that a client names and that is not here. Prefixes do not say what they are for, so this reads them as git sends them:
 * for a name, short or full, all places where it may be, of which one suffices; for `refs/heads/release-*` only what is before
 * the `*`. Clients that send nothing but a full name are asking for what begins with it.
 */
export async function findMissingRef(
  refList: RefList,
  { prefixes }: LsRefsRequest,
  slices: WorkSlices,
): Promise<MissingRef | undefined> {
  const sent = new Set(prefixes);
  const answered = new Set<string>(["HEAD"]);
  for (const name of sent) {
    const isName = sent.has(`refs/${name}`);
    if (slices.isDue(isName ? LOOK_UP_STEPS : 1)) await slices.pause();
    if (!isName) continue;
    let isHere = name === "HEAD";
    for (const place of refPlaces(name)) {
      answered.add(place);
      isHere ||= findRef(refList, place) !== undefined;
    }
    if (!isHere) return { name, isOne: true };
  }
  for (const prefix of sent) {
    const isAnswered = answered.has(prefix) || prefix.endsWith("/");
    if (slices.isDue(isAnswered ? 1 : LOOK_UP_STEPS)) await slices.pause();
    if (isAnswered) continue;
    const [first] = refsStartingWith(refList, prefix);
    if (first === undefined) return { name: prefix, isOne: false };
  }
  return undefined;
}

function* headLine(refList: RefList, request: LsRefsRequest): Generator<Uint8Array, void> {
  const head = resolveHead(refList);
  if (head !== undefined) {
    const target = request.symrefs ? head.symrefTarget : undefined;
    yield encodeRef({ ...head, name: "HEAD" }, target, request.peel);
  } else if (request.unborn && request.symrefs && "ref" in refList.head) {
    yield encodePktLine(`unborn HEAD symref-target:${refList.head.ref}\n`);
  }
}

/** Without those that begin with another one, and in byte order: so no ref is listed twice, and all as they are sorted. */
async function minimalPrefixes(prefixes: readonly string[], slices: WorkSlices): Promise<string[]> {
  if (prefixes.length === 0) return [""];
  const minimal: string[] = [];
  for (const prefix of await sortInSlices(prefixes, slices)) {
    if (slices.isDue(1)) await slices.pause();
    const last = minimal.at(-1);
    if (last === undefined || !prefix.startsWith(last)) minimal.push(prefix);
  }
  return minimal;
}
