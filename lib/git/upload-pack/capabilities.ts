/**
 * What the server says first. Only what is really handled is advertised: clients use what they see.
 * Source: gitprotocol-v2(5), "Capability Advertisement"; gitprotocol-pack(5), "Reference Discovery".
 */
import { ZERO_OBJECT_ID } from "../object-id.ts";
import { encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { Ref, RefList } from "../ports.ts";
import { refLines, refsStartingWith, resolveHead } from "./find-refs.ts";

const CAPABILITIES_V0 =
  "multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not deepen-relative " +
  "no-progress include-tag multi_ack_detailed allow-tip-sha1-in-want allow-reachable-sha1-in-want no-done filter";

/** Who answers. Both are words of printable ASCII. */
export interface ServerIdentity {
  /** Name and version: `nearside/1.0.0`. */
  readonly agent: string;
  /** Another one in each process. */
  readonly sessionId: string;
}

/** What a server has only where its store lets clients in. */
export interface ServerFeatures {
  readonly handsOutUrls: boolean;
}

export function advertiseV2(
  { agent, sessionId }: ServerIdentity,
  { handsOutUrls }: ServerFeatures,
): Uint8Array[] {
  const packfileUrisWord = handsOutUrls ? " packfile-uris" : "";
  return [
    encodePktLine("version 2\n"),
    encodePktLine(`agent=${agent}\n`),
    encodePktLine("ls-refs=unborn\n"),
    encodePktLine(`fetch=shallow wait-for-done filter ref-in-want sideband-all${packfileUrisWord}\n`),
    encodePktLine("server-option\n"),
    encodePktLine("object-format=sha1\n"),
    encodePktLine(`session-id=${sessionId}\n`),
    encodePktLine("object-info=size\n"),
    ...(handsOutUrls ? [encodePktLine("bundle-uri\n")] : []),
    FLUSH_PKT,
  ];
}

/** The refs themselves, HEAD first; version 1 is the same behind a line that says so. */
export function* advertiseV0(
  refList: RefList,
  { agent, sessionId }: ServerIdentity,
  version: 0 | 1,
): Generator<Uint8Array, void> {
  if (version === 1) yield encodePktLine("version 1\n");
  const head = resolveHead(refList);
  const symref = head?.symrefTarget === undefined ? "" : ` symref=HEAD:${head.symrefTarget}`;
  const capabilities = `\0${CAPABILITIES_V0}${symref} session-id=${sessionId} object-format=sha1 agent=${agent}`;
  if (head !== undefined) {
    yield* advertised({ ...head, name: "HEAD" }, capabilities);
    yield* refLines(refList, "", "advertised");
  } else {
    let firstLineEnd = capabilities;
    for (const ref of refsStartingWith(refList, "")) {
      yield* advertised(ref, firstLineEnd);
      firstLineEnd = "";
    }
    if (firstLineEnd !== "") yield encodePktLine(`${ZERO_OBJECT_ID} capabilities^{}${capabilities}\n`);
  }
  yield FLUSH_PKT;
}

function* advertised({ id, name, peeledId }: Ref, lineEnd: string): Generator<Uint8Array, void> {
  yield encodePktLine(`${id} ${name}${lineEnd}\n`);
  if (peeledId !== undefined) yield encodePktLine(`${peeledId} ${name}^{}\n`);
}

/**
 * The highest protocol version that both sides speak.
 * @param gitProtocol - The `Git-Protocol` header: `key[=value]` items with `:` between them.
 */
export function chooseProtocol(gitProtocol: string | undefined): 0 | 1 | 2 {
  const items = (gitProtocol ?? "").split(":").map((item) => item.trim());
  if (items.includes("version=2")) return 2;
  return items.includes("version=1") ? 1 : 0;
}
