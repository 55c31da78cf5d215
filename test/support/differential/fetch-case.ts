/** One request for a pack, and its bytes in each protocol. */
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";

export type Deepening =
  | { readonly kind: "depth"; readonly depth: number; readonly isRelative: boolean }
  | { readonly kind: "until"; readonly sinceSeconds?: number; readonly notRefs: readonly string[] };

export interface FetchCase {
  readonly protocol: 0 | 1 | 2;
  readonly wants: readonly string[];
  /** Only in protocol 2. */
  readonly wantRefs: readonly string[];
  readonly haves: readonly string[];
  /** At which of its commits the client's history is cut off. */
  readonly shallows: readonly string[];
  readonly deepening?: Deepening;
  readonly filter?: string;
  /** In protocol 2 some of these are arguments. */
  readonly capabilities: ReadonlySet<string>;
  readonly isDone: boolean;
}

export function encodeFetchCase(fetchCase: FetchCase): Uint8Array {
  const lines = fetchCase.protocol === 2 ? linesV2(fetchCase) : linesV0(fetchCase);
  return Buffer.concat(lines.map((line) => (typeof line === "string" ? encodePktLine(`${line}\n`) : line)));
}

function linesV2(fetchCase: FetchCase): (string | Uint8Array)[] {
  const { wants, wantRefs, haves, capabilities, filter, isDone } = fetchCase;
  const isRelative = fetchCase.deepening?.kind === "depth" && fetchCase.deepening.isRelative;
  return [
    "command=fetch",
    "agent=git/nearside-test",
    "object-format=sha1",
    DELIM_PKT,
    ...capabilities,
    ...wants.map((id) => `want ${id}`),
    ...wantRefs.map((name) => `want-ref ${name}`),
    ...shallowLines(fetchCase),
    ...(isRelative ? ["deepen-relative"] : []),
    ...(filter === undefined ? [] : [`filter ${filter}`]),
    ...haves.map((id) => `have ${id}`),
    ...(isDone ? ["done"] : []),
    FLUSH_PKT,
  ];
}

function linesV0(fetchCase: FetchCase): (string | Uint8Array)[] {
  const { wants, haves, capabilities, deepening, filter, isDone } = fetchCase;
  const words = [...capabilities, "agent=git/nearside-test"];
  if (filter !== undefined) words.push("filter");
  if (deepening?.kind === "depth" && deepening.isRelative) words.push("deepen-relative");
  return [
    ...wants.map((id, i) => (i === 0 ? `want ${id} ${words.join(" ")}` : `want ${id}`)),
    ...shallowLines(fetchCase),
    ...(filter === undefined ? [] : [`filter ${filter}`]),
    FLUSH_PKT,
    ...haves.map((id) => `have ${id}`),
    isDone ? "done" : FLUSH_PKT,
  ];
}

function shallowLines({ shallows, deepening }: FetchCase): string[] {
  const lines = shallows.map((id) => `shallow ${id}`);
  if (deepening?.kind === "depth") lines.push(`deepen ${deepening.depth}`);
  else if (deepening?.kind === "until") {
    if (deepening.sinceSeconds !== undefined) lines.push(`deepen-since ${deepening.sinceSeconds}`);
    lines.push(...deepening.notRefs.map((name) => `deepen-not ${name}`));
  }
  return lines;
}
