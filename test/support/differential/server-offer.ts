/** What a server advertises: only that is asked of it. */
import { pktText } from "../../../lib/git/pktline.ts";
import { PktLineReader } from "../../../lib/git/pktline-reader.ts";
import type { TestedMirror } from "./tested-mirror.ts";

export interface ServerOffer {
  readonly v0: ReadonlySet<string>;
  /** Of `fetch` in protocol 2. */
  readonly fetch: ReadonlySet<string>;
  /** Commands of protocol 2. */
  readonly commands: ReadonlySet<string>;
}

export async function readOffer(mirror: TestedMirror): Promise<ServerOffer> {
  const [v0, v2] = await Promise.all([linesOf(mirror, 0), linesOf(mirror, 2)]);
  const capabilities = v0.find((line) => line.includes("\0"))?.split("\0")[1] ?? "";
  const fetchLine = v2.find((line) => line.startsWith("fetch")) ?? "";
  return {
    v0: new Set(capabilities.split(" ")),
    fetch: new Set(fetchLine.replace(/^fetch=?/, "").split(" ")),
    commands: new Set(v2.map((line) => line.replace(/=.*/s, ""))),
  };
}

async function linesOf(mirror: TestedMirror, protocol: 0 | 2): Promise<string[]> {
  const { bytes } = await mirror.advertisement(protocol);
  const reader = new PktLineReader(once(bytes));
  const lines: string[] = [];
  for (let line = await reader.next(); line.kind !== "end"; line = await reader.next()) {
    if (line.kind === "data") lines.push(pktText(line.payload));
  }
  return lines;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
