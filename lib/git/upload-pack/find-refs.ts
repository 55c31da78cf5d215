/** Finds refs among many by binary search: they are sorted. */
import type { ObjectId } from "../object-id.ts";
import { encodePktLine } from "../pktline.ts";
import type { Ref, RefLineForm, RefList } from "../ports.ts";

// A list may make its `refs` only when they are asked for, so they are not, where it has a finder.

/** To look for a few names among many, in steps of `WorkSlices`. */
export const LOOK_UP_STEPS = 15;

export function findRef(refList: RefList, name: string): Ref | undefined {
  if (refList.finder !== undefined) return refList.finder.find(name);
  const ref = refList.refs[lowerBound(refList.refs, name)];
  return ref?.name === name ? ref : undefined;
}

/** In byte order. */
export function refsStartingWith(refList: RefList, prefix: string): Iterable<Ref> {
  return refList.finder?.startingWith(prefix) ?? startingWith(refList.refs, prefix);
}

/** Pkt-lines of the refs that begin with `prefix`, in byte order: whole lines, in chunks of some size. */
export function refLines(refList: RefList, prefix: string, form: RefLineForm): Iterable<Uint8Array> {
  return refList.finder?.lines(prefix, form) ?? encodedRefs(refList, prefix, form);
}

function* encodedRefs(refList: RefList, prefix: string, form: RefLineForm): Generator<Uint8Array, void> {
  for (const { id, name, peeledId } of startingWith(refList.refs, prefix)) {
    const peeled = form === "listed-peeled" && peeledId !== undefined ? ` peeled:${peeledId}` : "";
    yield encodePktLine(`${id} ${name}${peeled}\n`);
    if (form === "advertised" && peeledId !== undefined) yield encodePktLine(`${peeledId} ${name}^{}\n`);
  }
}

/** Whether each ref's value is one of `ids`. */
export function hasOnlyRefValues(refList: RefList, ids: ReadonlySet<ObjectId>): boolean {
  return refList.finder?.hasOnlyValues(ids) ?? refList.refs.every(({ id }) => ids.has(id));
}

/** The values of all refs; not what their tags point to. */
export function refValues(refList: RefList): { has(id: ObjectId): boolean } {
  const { finder } = refList;
  return finder === undefined
    ? new Set(refList.refs.map(({ id }) => id))
    : { has: (id) => finder.hasValue(id) };
}

function* startingWith(refs: readonly Ref[], prefix: string): Generator<Ref, void> {
  for (let index = lowerBound(refs, prefix); ; index++) {
    const ref = refs[index];
    if (ref === undefined || !ref.name.startsWith(prefix)) return;
    yield ref;
  }
}

/** The first whose name is not before `name`. */
function lowerBound(refs: readonly Ref[], name: string): number {
  let low = 0;
  let high = refs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((refs[middle]?.name ?? "") < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface ResolvedHead {
  readonly id: ObjectId;
  readonly peeledId?: ObjectId;
  /** The branch it names; `undefined` if it is detached. */
  readonly symrefTarget: string | undefined;
}

/** @returns `undefined` if HEAD names a branch that does not exist. */
export function resolveHead(refList: RefList): ResolvedHead | undefined {
  const { head } = refList;
  if ("commitId" in head) return { id: head.commitId, symrefTarget: undefined };
  const target = findRef(refList, head.ref);
  if (target === undefined) return undefined;
  const { name: symrefTarget, ...ids } = target;
  return { ...ids, symrefTarget };
}

/** Where git looks for a name, in this order. Source: gitrevisions(7), "<refname>". */
export function refPlaces(name: string): string[] {
  const prefixes = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];
  return [...prefixes.map((prefix) => prefix + name), `refs/remotes/${name}/HEAD`];
}
