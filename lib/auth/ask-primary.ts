/**
 * Asks the primary whether a caller may read a repository: sends the caller's own `Authorization` to git's `info/refs`; git
 * refs in the answer mean yes. It works for every kind of credential, and counts against the caller's own rate limit there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UpstreamError } from "../errors.ts";
import { mediaType } from "../media-type.ts";
import { parseRetryAfter } from "../retry-after.ts";
import { type RetryLimit, readWithRetry } from "../retry-read.ts";
import type { AskPrimary, PrimaryAnswer, ReadQuestion } from "./ports.ts";
import { hintOf } from "./primary-hint.ts";

export interface AskPrimaryOptions {
  readonly fetch: typeof fetch;
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
  /** Name and version of this client, without spaces. */
  readonly agent: string;
  /**
   * Called if the path is the name of a mirrored repository, as the primary may use the name for another one by now.
   * @param advertisement - The primary's answer to the caller, in protocol version 0.
   * @returns Whether it shows every ref that the mirror would serve.
   */
  readonly showsServed: (uuid: string, advertisement: AsyncIterable<Uint8Array>) => Promise<boolean>;
  readonly limits?: AskPrimaryLimits;
}

const DEFAULT_LIMITS = {
  /** For one request. */
  timeoutMs: 10_000,
  /** A renamed repository and a moved workspace take one each. */
  maxRedirects: 5,
  /** Before a 401 is asked once more. */
  retryPauseMs: 250,
  /** Before the primary is asked again if it shows other refs: a push may not be synchronized yet. Callers wait. */
  syncPausesMs: [500, 3_000],
};

type AskPrimaryLimits = Readonly<typeof DEFAULT_LIMITS>;

const ADVERTISEMENT_TYPE = "application/x-git-upload-pack-advertisement";
const NOT_GIT = "the answer is not git's";
const INFO_REFS = ".git/info/refs";
const OTHER_REFS: PrimaryAnswer = { kind: "refused", status: 503 };

export function askPrimaryByGit(options: AskPrimaryOptions): AskPrimary {
  const { retryPauseMs } = options.limits ?? DEFAULT_LIMITS;
  return async (question, { retriesUnauthorized, signal, retryBudget }) => {
    const asking = { ...options, ...(retryBudget !== undefined && { retryBudget }) };
    const first = await ask(question, asking, signal);
    const isUnauthorized = first.kind === "refused" && first.status === 401;
    if (!isUnauthorized || !(await retriesUnauthorized())) return first;
    // Bitbucket sometimes answers 401 to a valid token when several jobs start together (BCLOUD-24107).
    await sleep(retryPauseMs);
    return answerOrFirst(await ask(question, asking, signal), first);
  };
}

interface AskingOptions extends AskPrimaryOptions {
  readonly retryBudget?: RetryLimit;
}

/** Asks again while the primary shows refs that are not here yet. */
async function ask(
  question: ReadQuestion,
  options: AskingOptions,
  signal: AbortSignal,
): Promise<PrimaryAnswer> {
  const { syncPausesMs } = options.limits ?? DEFAULT_LIMITS;
  let answer = await askOnce(question, options, signal);
  for (const pauseMs of syncPausesMs) {
    if (answer !== OTHER_REFS || signal.aborted) break;
    await sleep(pauseMs);
    answer = answerOrFirst(await askOnce(question, options, signal), answer);
  }
  return answer;
}

/** The first answer stands if the repetition brings none: the last yes must not count again after it. */
function answerOrFirst(second: PrimaryAnswer, first: PrimaryAnswer): PrimaryAnswer {
  return second.kind === "undecided" ? first : second;
}

async function askOnce(
  question: ReadQuestion,
  options: AskingOptions,
  signal: AbortSignal,
): Promise<PrimaryAnswer> {
  const { timeoutMs } = options.limits ?? DEFAULT_LIMITS;
  const ended = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    // Without a budget of all: callers could use that up. An outage is judged apart, and then nothing is asked.
    return await readWithRetry(options, async (fetch) => {
      try {
        return await followed(question, { ...options, fetch }, ended);
      } catch (error) {
        if (error instanceof UpstreamError) throw error;
        throw new UpstreamError(reasonOf(error), { retryable: !ended.aborted, cause: error });
      }
    });
  } catch (error) {
    const { retryAfterSeconds, context } = error instanceof UpstreamError ? error : {};
    const status = context?.["status"];
    return {
      kind: "undecided",
      cause: "unreachable",
      reason: reasonOf(error),
      ...(typeof status === "number" && { status }),
      ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    };
  }
}

async function followed(
  question: ReadQuestion,
  options: AskPrimaryOptions,
  signal: AbortSignal,
): Promise<PrimaryAnswer> {
  const { authorization, repositoryPath } = question;
  const { fetch, gitUrl, agent, limits = DEFAULT_LIMITS } = options;
  let url = infoRefsUrl(gitUrl, repositoryPath);
  for (let redirects = 0; redirects <= limits.maxRedirects; redirects++) {
    const response = await fetch(url, {
      redirect: "manual",
      headers: {
        ...(authorization !== undefined && { authorization }),
        // Version 2 would not list the refs.
        ...(isOfName(question) ? {} : { "git-protocol": "version=2" }),
        "user-agent": agent,
      },
      signal,
    });
    const target = redirectTarget(response, url);
    if (target === undefined) return await answerOf(response, url, question, options, signal);
    await response.body?.cancel();
    // A login page, or another host, which must not get the credential.
    if (pathOf(target, gitUrl) === undefined) return { kind: "refused", status: response.status };
    url = target;
  }
  throw new UpstreamError("too many redirects", { retryable: false });
}

function infoRefsUrl(gitUrl: string, repositoryPath: string): URL {
  const path = repositoryPath.split("/").map(encodeURIComponent).join("/");
  return new URL(`${gitUrl}/${path}${INFO_REFS}?service=git-upload-pack`);
}

/** @throws {TypeError} The location is no URL. */
function redirectTarget({ status, headers }: Response, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(status)) return undefined;
  const target = new URL(headers.get("location") ?? "", from);
  // A redirect must not add a credential.
  target.username = "";
  target.password = "";
  return target;
}

async function answerOf(
  response: Response,
  url: URL,
  question: ReadQuestion,
  { gitUrl, showsServed }: AskPrimaryOptions,
  signal: AbortSignal,
): Promise<PrimaryAnswer> {
  const { status, headers } = response;
  if (status === 200 && mediaType(headers.get("content-type")) === ADVERTISEMENT_TYPE) {
    if (isOfName(question)) {
      const shown = new WatchedStream(response.body ?? nothing());
      const compared = await showsServed(question.uuid, shown.chunks()).catch(reasonOf);
      signal.throwIfAborted();
      if (typeof compared === "string") {
        if (shown.brokeOff) throw new UpstreamError(compared, { retryable: true });
        return { kind: "undecided", cause: "unreadable", reason: compared };
      }
      if (!compared) return OTHER_REFS;
    } else if (!(await beginsLikeGit(response))) {
      throw new UpstreamError(NOT_GIT, { retryable: true });
    }
    const finalPath = pathOf(url, gitUrl);
    const callerName = shortText(headers.get("x-ausername"));
    return {
      kind: "allowed",
      ...(finalPath !== undefined && { finalPath }),
      ...(callerName !== undefined && { callerName }),
    };
  }
  if (isRefusal(status)) {
    const hint = await hintOf(response, question.authorization);
    return { kind: "refused", status, ...(hint !== undefined && { hint }) };
  }
  await response.body?.cancel();
  const retryAfterSeconds = parseRetryAfter(headers.get("retry-after"));
  const after = retryAfterSeconds !== undefined && { retryAfterSeconds };
  const reason = response.ok ? NOT_GIT : `the primary answered ${status}`;
  if (status === 429) return { kind: "undecided", cause: "rate-limited", reason, ...after };
  throw new UpstreamError(reason, { retryable: status >= 500, status, ...after });
}

/** With a uuid in the path, the primary itself guarantees which repository it shows. */
function isOfName(question: ReadQuestion): question is ReadQuestion & { readonly uuid: string } {
  const { repositoryPath, uuid } = question;
  return uuid !== undefined && !repositoryPath.endsWith(`/{${uuid}}`);
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

/** The first pkt-line in versions 0 and 2. A git error is sent with 200, too. */
const FIRST_LINE = /^(?:[0-9a-f]{4}# service=git-upload-pack|[0-9a-f]{4}version 2)(?:\n|$)/;
const FIRST_LINE_BYTES = 4 + "# service=git-upload-pack\n".length;

/** Reads no further: in version 0 there may be many refs. */
async function beginsLikeGit({ body }: Response): Promise<boolean> {
  let start = "";
  // Leaving the loop cancels the rest.
  for await (const chunk of body ?? []) {
    start += Buffer.from(chunk).toString("latin1", 0, FIRST_LINE_BYTES);
    if (start.length >= FIRST_LINE_BYTES) break;
  }
  const length = Number.parseInt(start.slice(0, 4), 16);
  return FIRST_LINE.test(start.slice(0, length));
}

/** Not 408, 425 and 429: they say nothing about the right. */
function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && ![408, 425, 429].includes(status);
}

function pathOf(url: URL, gitUrl: string): string | undefined {
  const home = new URL(`${gitUrl}/`);
  if (url.origin !== home.origin || !url.pathname.startsWith(home.pathname)) return undefined;
  const path = /^(.+?)(?:\.git)?\/info\/refs$/.exec(url.pathname.slice(home.pathname.length))?.[1];
  try {
    return path === undefined ? undefined : decodeURIComponent(path).toLowerCase();
  } catch {
    return undefined; // URIError: an invalid percent-encoding
  }
}

function shortText(text: string | null): string | undefined {
  return text !== null && /^[\x20-\x7e]{1,100}$/.test(text) ? text : undefined;
}

/** Only the innermost of undici's errors names the cause. */
function reasonOf(error: unknown): string {
  if (error instanceof UpstreamError) return error.message;
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

/** Distinguishes a failure of the stream from a failure of its reader. */
class WatchedStream {
  readonly #chunks: AsyncIterable<Uint8Array>;
  brokeOff = false;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* this.#chunks;
    } catch (error) {
      this.brokeOff = true;
      throw error;
    }
  }
}
