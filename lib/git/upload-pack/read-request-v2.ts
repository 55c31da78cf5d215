/** Reads a protocol v2 request. Source: gitprotocol-v2(5), "Command Request", "ls-refs", "fetch". */
import { ProtocolError } from "../../errors.ts";
import type { ServerFeatures } from "./capabilities.ts";
import { FetchArguments } from "./fetch-arguments.ts";
import type { FetchRequest, LsRefsRequest, RequestLimits } from "./fetch-request.ts";
import { addInfoArgument, type ObjectInfoRequest } from "./object-info.ts";
import { RequestLines, unexpectedLine } from "./request-lines.ts";

export type RequestV2 =
  | { readonly command: "ls-refs"; readonly lsRefs: LsRefsRequest }
  | { readonly command: "fetch"; readonly fetch: FetchRequest }
  | { readonly command: "object-info"; readonly objectInfo: ObjectInfoRequest }
  | { readonly command: "bundle-uri" }
  /** Nothing was asked: a client ends its session, or probes. */
  | { readonly command: "none" };

/** @throws {ProtocolError} Not a request for what is advertised. @throws {LimitExceededError} */
export async function readRequestV2(
  body: AsyncIterable<Uint8Array>,
  limits: RequestLimits,
  { handsOutUrls }: ServerFeatures,
): Promise<RequestV2> {
  const lines = new RequestLines(body, limits);
  try {
    const { command, hasArguments } = await readCommand(lines);
    const readEach = (onArgument: (text: string) => void): Promise<void> =>
      hasArguments ? readArguments(lines, onArgument) : Promise.resolve();
    switch (command) {
      case undefined:
        return { command: "none" };
      case "ls-refs":
        return { command, lsRefs: await readLsRefs(readEach, limits) };
      case "fetch": {
        const fetch = new FetchArguments(limits, handsOutUrls);
        await readEach((text) => fetch.add(text));
        return { command, fetch: fetch.request() };
      }
      case "object-info": {
        const objectInfo: ObjectInfoRequest = { size: false, ids: [] };
        await readEach((text) => addInfoArgument(objectInfo, text, limits));
        return { command, objectInfo };
      }
      case "bundle-uri":
        if (!handsOutUrls) throw invalidCommand(command);
        // Arguments are for the future.
        await readEach(() => undefined);
        return { command };
      default:
        throw invalidCommand(command);
    }
  } finally {
    await lines.close();
  }
}

function invalidCommand(command: string): ProtocolError {
  return new ProtocolError(`invalid command '${command.slice(0, 80)}'`);
}

async function readCommand(
  lines: RequestLines,
): Promise<{ readonly command: string | undefined; readonly hasArguments: boolean }> {
  let command: string | undefined;
  let hasCapability = false;
  for (;;) {
    const line = await lines.next();
    if (line.kind !== "text") {
      const isEmpty = command === undefined && !hasCapability;
      if (isEmpty && line.kind !== "delim") return { command, hasArguments: false };
      if (command === undefined) throw new ProtocolError("no command requested");
      if (line.kind === "end") throw new ProtocolError("the request ended before its flush");
      return { command, hasArguments: line.kind === "delim" };
    }
    if (line.text.startsWith("command=")) {
      if (command !== undefined) throw new ProtocolError("more than one command requested");
      command = line.text.slice("command=".length);
    } else {
      checkCapability(line.text);
      hasCapability = true;
    }
  }
}

const KNOWN_CAPABILITIES = ["agent", "server-option", "session-id"];

function checkCapability(text: string): void {
  const [name = ""] = text.split("=", 1);
  if (KNOWN_CAPABILITIES.includes(name) || text === "object-format=sha1") return;
  if (text.startsWith("object-format="))
    throw new ProtocolError("mismatched object format: this server has sha1");
  throw new ProtocolError(`unknown capability '${text.slice(0, 80)}'`);
}

/** Calls `onArgument` for each line until the flush. */
async function readArguments(lines: RequestLines, onArgument: (text: string) => void): Promise<void> {
  for (;;) {
    const line = await lines.next();
    if (line.kind === "flush") return;
    if (line.kind !== "text") throw new ProtocolError("expected flush after the arguments");
    onArgument(line.text);
  }
}

async function readLsRefs(
  readEach: (onArgument: (text: string) => void) => Promise<void>,
  { maxRefPrefixes, keep }: RequestLimits,
): Promise<LsRefsRequest> {
  const flags = { peel: false, symrefs: false, unborn: false };
  const prefixes = new Set<string>();
  await readEach((text) => {
    if (text === "peel" || text === "symrefs" || text === "unborn") flags[text] = true;
    else if (text.startsWith("ref-prefix ")) {
      const prefix = text.slice("ref-prefix ".length);
      if (prefixes.has(prefix) || prefixes.size > maxRefPrefixes) return;
      keep?.(prefix.length);
      prefixes.add(prefix);
    } else throw unexpectedLine(text);
  });
  return { ...flags, prefixes: prefixes.size > maxRefPrefixes ? [] : [...prefixes] };
}
