/**
 * Reads a request of the original protocol, also used by version 1, as it comes over HTTP: one round in each body.
 * Source: gitprotocol-pack(5), "Packfile Negotiation"; gitprotocol-http(5), "Smart Service git-upload-pack".
 */
import { ProtocolError } from "../../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId } from "../object-id.ts";
import type { FetchRequestV0, RequestLimits } from "./fetch-request.ts";
import { HistoryLines } from "./history-lines.ts";
import { addIdWithin, RequestLines, unexpectedLine } from "./request-lines.ts";

const WANT_BYTES = "want ".length + OBJECT_ID_BYTES * 2;

/**
 * @returns `undefined` if nothing is wanted.
 * @throws {ProtocolError} Malformed, or asks for a capability that is not advertised. @throws {LimitExceededError}
 */
export async function readRequestV0(
  body: AsyncIterable<Uint8Array>,
  limits: RequestLimits,
): Promise<FetchRequestV0 | undefined> {
  const lines = new RequestLines(body, limits);
  try {
    const history = new HistoryLines(limits);
    const { wants, capabilities } = await readWants(lines, history, limits);
    if (wants.length === 0) return undefined;
    const { isRelative, canFilter, ...flags } = readCapabilities(capabilities);
    const historyRequest = history.request(isRelative);
    if (historyRequest.filter !== undefined && !canFilter)
      throw new ProtocolError("filtering capability not negotiated");
    return { wants, wantRefs: [], ...historyRequest, ...flags, ...(await readHaves(lines, limits)) };
  } finally {
    await lines.close();
  }
}

async function readWants(
  lines: RequestLines,
  history: HistoryLines,
  limits: RequestLimits,
): Promise<{ readonly wants: readonly ObjectId[]; readonly capabilities: string }> {
  const wants = new Set<ObjectId>();
  let capabilities = "";
  for (;;) {
    const line = await lines.next();
    if (line.kind === "flush" || (line.kind === "end" && wants.size === 0))
      return { wants: [...wants], capabilities };
    if (line.kind !== "text") throw new ProtocolError("expected flush after the wants");
    if (history.take(line.text)) continue;
    if (!line.text.startsWith("want ")) throw unexpectedLine(line.text);
    if (wants.size === 0) capabilities = line.text.slice(WANT_BYTES);
    else if (line.text.length > WANT_BYTES) throw unexpectedLine(line.text);
    addIdWithin(limits, "wants", wants, line.text.slice(0, WANT_BYTES), "want ");
  }
}

function readCapabilities(text: string) {
  const capabilities = new Set(text.split(" ").filter((word) => word !== ""));
  for (const capability of capabilities) {
    if (capability.startsWith("object-format=") && capability !== "object-format=sha1") {
      throw new ProtocolError("mismatched object format: this server has sha1");
    }
  }
  const has = (capability: string): boolean => capabilities.has(capability);
  return {
    thinPack: has("thin-pack"),
    ofsDelta: has("ofs-delta"),
    noProgress: has("no-progress"),
    includeTag: has("include-tag"),
    noDone: has("no-done"),
    multiAck: has("multi_ack_detailed") ? "detailed" : has("multi_ack") ? "plain" : "none",
    sideband: has("side-band-64k") ? "side-band-64k" : has("side-band") ? "side-band" : "none",
    waitForDone: false,
    sidebandAll: false,
    uriProtocols: [],
    isRelative: has("deepen-relative"),
    canFilter: has("filter"),
  } as const;
}

async function readHaves(lines: RequestLines, limits: RequestLimits) {
  const haves = new Set<ObjectId>();
  for (let lineCount = 0; ; lineCount++) {
    const line = await lines.next();
    const hasEndedEarly = line.kind === "end" && lineCount === 0;
    if (line.kind === "flush" || hasEndedEarly) return { haves: [...haves], isDone: false, hasEndedEarly };
    if (line.kind !== "text") throw new ProtocolError("expected flush after the haves");
    if (line.text === "done") return { haves: [...haves], isDone: true, hasEndedEarly };
    if (!line.text.startsWith("have ")) throw unexpectedLine(line.text);
    addIdWithin(limits, "haves", haves, line.text, "have ");
  }
}
