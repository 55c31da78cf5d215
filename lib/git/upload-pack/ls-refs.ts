/** Answers `ls-refs`. Source: gitprotocol-v2(5), "ls-refs". */
import { encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { Ref, RefList } from "../ports.ts";
import type { LsRefsRequest } from "./fetch-request.ts";
import { findRef, refsStartingWith } from "./find-refs.ts";
import { resolveHead } from "./resolve-head.ts";

export function* listRefs(refList: RefList, request: LsRefsRequest): Generator<Uint8Array, void, undefined> {
  const prefixes = minimalPrefixes(request.prefixes);
  if (prefixes.some((prefix) => "HEAD".startsWith(prefix))) yield* headLine(refList, request);
  for (const prefix of prefixes) {
    for (const ref of refsStartingWith(refList, prefix)) yield encodePktLine(`${refText(ref, request)}\n`);
  }
  yield FLUSH_PKT;
}

/**
 * Whether a ref is named that is not there. git names one that is given in short by all places where it may be, and what
 * ends in a slash is a folder.
 */
export function lacksNamedRef(refList: RefList, { prefixes }: LsRefsRequest): boolean {
  const isThere = new Map<string, boolean>();
  for (const name of prefixes) {
    const short = name
      .replace(/^refs\/remotes\/(.*)\/HEAD$/, "$1")
      .replace(/^refs\/(?:(?:heads|tags|remotes)\/)?/, "");
    if (short === "HEAD" || name.endsWith("/")) continue;
    isThere.set(short, isThere.get(short) === true || findRef(refList, name) !== undefined);
  }
  return [...isThere.values()].includes(false);
}

function* headLine(refList: RefList, request: LsRefsRequest): Generator<Uint8Array, void, undefined> {
  const head = resolveHead(refList);
  if (head !== undefined) {
    const symref =
      request.symrefs && head.symrefTarget !== undefined ? ` symref-target:${head.symrefTarget}` : "";
    yield encodePktLine(`${refText({ ...head, name: "HEAD" }, request, symref)}\n`);
  } else if (request.unborn && request.symrefs && "ref" in refList.head) {
    yield encodePktLine(`unborn HEAD symref-target:${refList.head.ref}\n`);
  }
}

function refText(ref: Ref, { peel }: LsRefsRequest, symref = ""): string {
  const peeled = peel && ref.peeledId !== undefined ? ` peeled:${ref.peeledId}` : "";
  return `${ref.id} ${ref.name}${symref}${peeled}`;
}

/** Without those that begin with another one, and in byte order: so no ref is listed twice, and all as they are sorted. */
function minimalPrefixes(prefixes: readonly string[]): string[] {
  if (prefixes.length === 0) return [""];
  const minimal: string[] = [];
  for (const prefix of prefixes.toSorted(compareUnits)) {
    const last = minimal.at(-1);
    if (last === undefined || !prefix.startsWith(last)) minimal.push(prefix);
  }
  return minimal;
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
