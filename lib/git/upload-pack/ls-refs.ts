/** Answers `ls-refs`. Source: gitprotocol-v2(5), "ls-refs". */
import { encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { Ref, RefList } from "../ports.ts";
import type { LsRefsRequest } from "./fetch-request.ts";
import { resolveHead } from "./resolve-head.ts";

export function* listRefs(refList: RefList, request: LsRefsRequest): Generator<Uint8Array, void, undefined> {
  const matches = prefixMatcher(request.prefixes);
  if (matches("HEAD")) yield* headLine(refList, request);
  for (const ref of refList.refs) if (matches(ref.name)) yield encodePktLine(`${refText(ref, request)}\n`);
  yield FLUSH_PKT;
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

/** Matches by halving: both prefixes and refs may be many. */
function prefixMatcher(prefixes: readonly string[]): (name: string) => boolean {
  if (prefixes.length === 0 || prefixes.includes("")) return () => true;
  // A prefix of another prefix makes the longer one superfluous; then the only candidate for a name is the last prefix
  // that sorts at or before it.
  const minimal: string[] = [];
  for (const prefix of prefixes.toSorted(compareUnits)) {
    const last = minimal.at(-1);
    if (last === undefined || !prefix.startsWith(last)) minimal.push(prefix);
  }
  return (name) => {
    let low = 0;
    let high = minimal.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareUnits(minimal[middle] ?? "", name) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && name.startsWith(minimal[low - 1] ?? "");
  };
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
