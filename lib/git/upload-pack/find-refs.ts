/** Finds refs among many by binary search: they are sorted. */
import type { ObjectId } from "../object-id.ts";
import { encodePktLine } from "../pktline.ts";
import type { Ref, RefLineForm, RefList, Symref } from "../ports.ts";

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

/** As {@link RefFinder.lines}. */
export function refLines(
  refList: RefList,
  prefix: string,
  form: RefLineForm,
  symrefs: readonly Symref[] = [],
): Iterable<Uint8Array> {
  return refList.finder?.lines(prefix, form, symrefs) ?? encodedRefs(refList, prefix, form, symrefs);
}

function* encodedRefs(
  refList: RefList,
  prefix: string,
  form: RefLineForm,
  symrefs: readonly Symref[],
): Generator<Uint8Array, void> {
  const targets = new Map(symrefs.map(({ name, target }) => [name, target]));
  for (const ref of startingWith(refList.refs, prefix)) {
    const { name, peeledId } = ref;
    yield encodeRef(ref, targets.get(name), form === "listed-peeled");
    if (form === "advertised" && peeledId !== undefined) yield encodePktLine(`${peeledId} ${name}^{}\n`);
  }
}

/** A line of `ls-refs`. */
export function encodeRef(
  { id, name, peeledId }: Ref,
  symrefTarget: string | undefined,
  isPeeled: boolean,
): Uint8Array {
  const symref = symrefTarget === undefined ? "" : ` symref-target:${symrefTarget}`;
  const peeled = isPeeled && peeledId !== undefined ? ` peeled:${peeledId}` : "";
  return encodePktLine(`${id} ${name}${symref}${peeled}\n`);
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
  if ("id" in head) return { ...head, symrefTarget: undefined };
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
