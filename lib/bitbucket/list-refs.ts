/**
 * Lists the refs of a git server with isomorphic-git. The HTTP client below does what isomorphic-git leaves out: it refuses a
 * list that was cut, keeps names that are not UTF-8, and asks for the branch of an unborn HEAD in the same request.
 * Source: gitprotocol-v2(5), "ls-refs"; gitprotocol-pack(5), "Reference Discovery".
 */
import { isAscii } from "node:buffer";
import { type GitHttpResponse, type HttpClient, listServerRefs, type ServerRef } from "isomorphic-git";
import { MirrorError, ProtocolError, UnsupportedRepositoryError, UpstreamError } from "../errors.ts";
import { byteText } from "../git/byte-text.ts";
import { SHALLOW_PRIMARY } from "../git/fetch-pack.ts";
import {
  decodePktLine,
  encodePktLine,
  FLUSH_PKT,
  PKT_PREFIX_BYTES,
  pktMessage,
  pktText,
} from "../git/pktline.ts";
import {
  DEFAULT_GIT_HTTP_LIMITS,
  type GitRepositoryOptions,
  readGitAnswer,
  readRefList,
} from "./git-http-client.ts";

export interface ListedRefs extends Advertisement {
  /**
   * HEAD and all refs, with every attribute: `target` of symbolic refs, `peeled` of annotated tags and of a detached HEAD.
   * Names are byte text (lib/git/byte-text.ts). An unborn HEAD has `unborn` for its id.
   */
  readonly refs: readonly ServerRef[];
}

interface Advertisement {
  readonly protocol: 0 | 2;
  /** As the server sends them; of protocol 2 with their values, such as `fetch=shallow filter`. */
  readonly capabilities: readonly string[];
  /** The clone URL; after a redirect on the same origin, the new one. */
  readonly repositoryUrl: string;
}

/**
 * Two requests in protocol 2, one in protocol 0.
 * @param known - Capabilities of protocol 2, as the server advertised them once. With these it is one request, and three if the
 *   answer may be that of a server that has changed since.
 * @throws {UpstreamError} The primary failed or refused.
 * @throws {UnsupportedRepositoryError} Its object format is not SHA-1, or it is shallow.
 * @throws {NotFoundError} @throws {LimitExceededError}
 */
export async function listRefs(
  options: GitRepositoryOptions,
  known?: readonly string[],
): Promise<ListedRefs> {
  if (known === undefined) return listWith(new CheckingHttpClient(options), options);
  try {
    const listed = await listWith(new CheckingHttpClient(options, known), options);
    // A server that did not understand the command must not look like one whose refs were all deleted.
    if (listed.refs.length > 0) return listed;
  } catch (error) {
    if (options.signal?.aborted || !mayHaveChanged(error)) throw error;
  }
  return listRefs(options);
}

/**
 * Whether it may be that the server does not understand the command any more: its answer is no list, or 400, or a redirect that a
 * command does not follow. Another refusal, a failure or a timeout would only be repeated.
 */
function mayHaveChanged(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false;
  const { status, timedOut } = error.context;
  // `timedOut` is set, true or false, where the connection failed.
  return typeof status === "number" ? status <= 400 : timedOut === undefined;
}

async function listWith(
  http: CheckingHttpClient,
  { repositoryUrl: url, agent, signal }: GitRepositoryOptions,
): Promise<ListedRefs> {
  const headers = { "user-agent": agent };
  try {
    const attributes = { symrefs: true, peelTags: true };
    const refs = await listServerRefs({ http, url, headers, protocolVersion: 2, ...attributes });
    return { ...http.advertised, refs: refs.map(unescapeNames) };
  } catch (cause) {
    if (cause instanceof ProtocolError)
      throw new UpstreamError("the primary's answer is not a git response", { retryable: true, cause });
    if (cause instanceof MirrorError || signal?.aborted) throw cause;
    throw new UpstreamError("the primary's list of refs is broken", { retryable: true, cause });
  }
}

class CheckingHttpClient implements HttpClient {
  readonly #options: GitRepositoryOptions;
  /** Known once the first request is answered. */
  advertised: Advertisement;

  readonly #isKnown: boolean;

  constructor(options: GitRepositoryOptions, known?: readonly string[]) {
    const { repositoryUrl } = options;
    this.#options = options;
    this.#isKnown = known !== undefined;
    this.advertised = { protocol: this.#isKnown ? 2 : 0, capabilities: known ?? [], repositoryUrl };
  }

  readonly request: HttpClient["request"] = async ({ url, method = "GET", headers = {}, body }) => {
    const isCommand = method === "POST";
    const { protocol, repositoryUrl, capabilities } = this.advertised;
    const { limits = DEFAULT_GIT_HTTP_LIMITS } = this.#options;
    // isomorphic-git sends a command of protocol 2 after an advertisement of protocol 0 without refs.
    if (isCommand && protocol === 0) return gitResponse(url, FLUSH_PKT);
    const answerType = `application/x-git-upload-pack-${isCommand ? "result" : "advertisement"}`;
    if (!isCommand && this.#isKnown) return gitResponse(url, knownAdvertisement(capabilities), answerType);
    const path = url.slice(this.#options.repositoryUrl.length);
    const request = {
      ...({ method: isCommand ? "POST" : "GET", url: repositoryUrl + path, headers, answerType } as const),
      ...(body && { body: withUnborn(await readRefList(body, limits), capabilities) }),
    };
    return readGitAnswer(request, this.#options, (bytes, answerUrl) => {
      const lines = readWholeAnswer(bytes, isCommand);
      if (!isCommand) this.advertised = readAdvertisement(lines, repositoryUrl, answerUrl);
      return gitResponse(answerUrl, escapeBytes(bytes), answerType);
    });
  };
}

/** As a server of protocol 2 answers; isomorphic-git wants one before each command. */
function knownAdvertisement(capabilities: readonly string[]): Uint8Array {
  const lines = ["version 2", ...capabilities].map((line) => encodePktLine(`${line}\n`));
  return Buffer.concat([...lines, FLUSH_PKT]);
}

/** @throws {UnsupportedRepositoryError} The object format is not SHA-1. */
function readAdvertisement(lines: readonly string[], askedUrl: string, answerUrl: string): Advertisement {
  const [first = "", ...others] = lines;
  const protocol = first === "version 2" ? 2 : 0;
  const capabilities = protocol === 2 ? others : (first.split("\0")[1]?.split(" ") ?? []);
  const format = capabilities.find((capability) => capability.startsWith("object-format="));
  const objectFormat = format?.slice("object-format=".length) ?? "sha1";
  if (objectFormat !== "sha1")
    throw new UnsupportedRepositoryError(
      `the repository uses the object format ${objectFormat}; Nearside mirrors sha1 only`,
      { objectFormat },
    );
  const pathStart = answerUrl.indexOf("/info/refs?");
  // The credential stays on the origin that it was given for.
  const isFollowed = pathStart > 0 && new URL(answerUrl).origin === new URL(askedUrl).origin;
  return { protocol, capabilities, repositoryUrl: isFollowed ? answerUrl.slice(0, pathStart) : askedUrl };
}

/** Adds `unborn` to an `ls-refs` command where the server supports it. */
function withUnborn(command: Uint8Array, capabilities: readonly string[]): Uint8Array {
  if (!capabilities.some((capability) => /^ls-refs=.*\bunborn\b/.test(capability))) return command;
  return Buffer.concat([command.subarray(0, -FLUSH_PKT.length), encodePktLine("unborn\n"), FLUSH_PKT]);
}

/**
 * Checks that the answer is whole. A list that was cut looks like one with fewer refs, and the others would be deleted here;
 * HTTP does not report the cut where a server ends its answers by closing the connection.
 * @returns The lines of an advertisement, without the service line.
 * @throws {UpstreamError} The answer was cut, or reports an error. @throws {ProtocolError} It is not made of pkt-lines.
 */
function readWholeAnswer(bytes: Uint8Array, isCommand: boolean): string[] {
  const lines: string[] = [];
  let flushCount = 0;
  let isAtFlush = false;
  for (const { kind, payload } of pktLines(bytes)) {
    isAtFlush = kind === "flush";
    flushCount += isAtFlush ? 1 : 0;
    if (payload[0] === UPPER_CASE_E && pktText(payload).startsWith("ERR "))
      throw refusalError(pktMessage(payload).slice("ERR ".length));
    if (!isCommand && payload[0] === LOWER_CASE_S && pktText(payload).startsWith("shallow "))
      throw new UnsupportedRepositoryError(SHALLOW_PRIMARY);
    if (kind === "data" && lines.length < MAX_CAPABILITY_LINES) lines.push(pktText(payload));
  }
  const hasServiceLine = !isCommand && lines[0] === "# service=git-upload-pack";
  // The service line has a flush of its own.
  if (!isAtFlush || flushCount !== (hasServiceLine ? 2 : 1)) throw cutError();
  return hasServiceLine ? lines.slice(1) : lines;
}

const MAX_CAPABILITY_LINES = 64;
/** Of `ERR`. No line with an id begins with it. */
const UPPER_CASE_E = 0x45;
/** Of `shallow`, in protocol 0. */
const LOWER_CASE_S = 0x73;

interface Line {
  readonly kind: "data" | "flush" | "delim" | "response-end";
  readonly payload: Uint8Array;
  /** Prefix and payload. */
  readonly whole: Uint8Array;
}

function* pktLines(bytes: Uint8Array): Generator<Line> {
  for (let offsetBytes = 0; offsetBytes < bytes.length; ) {
    const line = decodePktLine(bytes.subarray(offsetBytes));
    if (line.kind === "incomplete") throw cutError();
    const whole = bytes.subarray(offsetBytes, offsetBytes + line.bytesConsumed);
    yield { kind: line.kind, payload: whole.subarray(PKT_PREFIX_BYTES), whole };
    offsetBytes += line.bytesConsumed;
  }
}

function refusalError(refusal: string): UpstreamError {
  return new UpstreamError(`the primary refused: ${refusal}`, { retryable: true, refusal });
}

function cutError(): UpstreamError {
  return new UpstreamError("the primary's list of refs was cut", { retryable: true });
}

/** Puts the bytes 80 to FF at U+0180 to U+01FF: isomorphic-git decodes UTF-8 and trims, and these are all letters. */
const ESCAPE_OFFSET = 0x100;

function escapeBytes(bytes: Uint8Array): Uint8Array {
  if (isAscii(bytes)) return bytes;
  const escaped = (byte: string) => String.fromCharCode(byte.charCodeAt(0) + ESCAPE_OFFSET);
  const lines = [...pktLines(bytes)].map(({ kind, payload, whole }) =>
    kind !== "data" || isAscii(payload)
      ? whole
      : encodePktLine(Buffer.from(byteText(payload).replace(/[\x80-\xff]/g, escaped))),
  );
  return Buffer.concat(lines);
}

function unescapeBytes(name: string): string {
  return name.replace(/[\u0180-\u01ff]/g, (letter) =>
    String.fromCharCode(letter.charCodeAt(0) - ESCAPE_OFFSET),
  );
}

function unescapeNames({ ref, target, ...ids }: ServerRef): ServerRef {
  return { ...ids, ref: unescapeBytes(ref), ...(target !== undefined && { target: unescapeBytes(target) }) };
}

function gitResponse(url: string, bytes: Uint8Array, contentType = ""): GitHttpResponse {
  const body = (async function* () {
    yield bytes;
  })();
  return { url, statusCode: 200, statusMessage: "OK", body, headers: { "content-type": contentType } };
}
