/**
 * Asks the primary whether a caller may read a repository: the caller's own `Authorization` goes to git's `info/refs`, and
 * refs of git's are a yes. It works for whatever the primary takes, and counts against the caller's own limits there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseRetryAfter } from "../retry-after.ts";
import type { AskingHow, AskPrimary, PrimaryAnswer, ReadQuestion } from "./ports.ts";
import { hintOf } from "./primary-hint.ts";

export interface AskPrimaryOptions {
  readonly fetch: typeof fetch;
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
  /** Name and version of this client, without spaces. */
  readonly agent: string;
  /**
   * Asked where the path is a name that means a repository here, as a name may mean another one at the primary by now.
   * @param advertisement - What the primary shows the caller, in version 0.
   * @returns Whether that is all that would be served.
   */
  readonly showsServed: (uuid: string, advertisement: AsyncIterable<Uint8Array>) => Promise<boolean>;
  readonly limits?: AskPrimaryLimits;
}

interface AskPrimaryLimits {
  /** For one try. */
  readonly timeoutMs: number;
  /** Renamed repositories and moved workspaces take one each. */
  readonly maxRedirects: number;
  /** Before a 401 is believed. */
  readonly retryPauseMs: number;
  /** Before the primary is asked again that shows other refs: what was just pushed is about to come here. Callers wait. */
  readonly syncPausesMs: readonly number[];
}

const DEFAULT_LIMITS: AskPrimaryLimits = {
  timeoutMs: 10_000,
  maxRedirects: 5,
  retryPauseMs: 250,
  syncPausesMs: [500, 3_000],
};

/** A timer that is later than that was not late for want of a processor. */
const STOPPED_MS = 2_000;

const ADVERTISEMENT_TYPE = "application/x-git-upload-pack-advertisement";
const INFO_REFS = ".git/info/refs";
const SHOWS_OTHERS: PrimaryAnswer = { kind: "refused", status: 503 };

export function askPrimaryByGit(options: AskPrimaryOptions): AskPrimary {
  const { retryPauseMs } = options.limits ?? DEFAULT_LIMITS;
  return async (question, how) => {
    const answer = await ask(question, options, how);
    const isOdd = answer.kind === "refused" && answer.status === 401;
    if (!isOdd || !(await how.retries401())) return answer;
    how.onDoubt();
    // Bitbucket says 401 to valid tokens now and then, when several jobs start together (BCLOUD-24107).
    await sleep(retryPauseMs);
    const second = await ask(question, options, how);
    return second.kind === "undecided" ? answer : second;
  };
}

/** Once more while the primary shows refs that are not here yet. */
async function ask(
  question: ReadQuestion,
  options: AskPrimaryOptions,
  { onDoubt, signal }: AskingHow,
): Promise<PrimaryAnswer> {
  const { syncPausesMs } = options.limits ?? DEFAULT_LIMITS;
  let answer = await askOnce(question, options, signal);
  for (const pauseMs of syncPausesMs) {
    if (answer !== SHOWS_OTHERS || signal.aborted) break;
    onDoubt();
    await sleep(pauseMs);
    answer = await askOnce(question, options, signal);
  }
  return answer;
}

async function askOnce(
  question: ReadQuestion,
  options: AskPrimaryOptions,
  signal: AbortSignal,
): Promise<PrimaryAnswer> {
  const { timeoutMs } = options.limits ?? DEFAULT_LIMITS;
  const silence = AbortSignal.timeout(timeoutMs);
  const startedMs = Date.now();
  try {
    return await followed(question, options, AbortSignal.any([signal, silence]));
  } catch (error) {
    const answer = { kind: "undecided", cause: "unreachable", reason: reasonOf(error) } as const;
    // Lambda stops a process between requests; when it goes on, its connections and its time are gone.
    if (Date.now() > startedMs + timeoutMs + STOPPED_MS) return answer;
    if (silence.aborted) return { ...answer, outage: "certain" };
    // A time that was up before may have been spent in waiting for others.
    return signal.aborted ? answer : { ...answer, outage: "likely" };
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
        // Version 2 would not show the refs.
        ...(isOfName(question) ? {} : { "git-protocol": "version=2" }),
        "user-agent": agent,
      },
      signal,
    });
    const target = redirectTarget(response, url);
    if (target === undefined) return await answerOf(response, url, question, options, signal);
    await response.body?.cancel();
    // To log in, or to another host, which would get the credential and knows nothing of rights here.
    if (pathOf(target, gitUrl) === undefined) return { kind: "refused", status: response.status };
    url = target;
  }
  return { kind: "undecided", cause: "unreachable", reason: "too many redirects" };
}

function infoRefsUrl(gitUrl: string, repositoryPath: string): URL {
  const path = repositoryPath.split("/").map(encodeURIComponent).join("/");
  return new URL(`${gitUrl}/${path}${INFO_REFS}?service=git-upload-pack`);
}

/** @throws {TypeError} A redirect to what is no address. */
function redirectTarget({ status, headers }: Response, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(status)) return undefined;
  const target = new URL(headers.get("location") ?? "", from);
  // A redirect may not bring a credential of its own.
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
  if (status === 200 && headers.get("content-type") === ADVERTISEMENT_TYPE) {
    if (isOfName(question)) {
      const shown = new Watched(response.body ?? nothing());
      const compared = await showsServed(question.uuid, shown.chunks()).catch(reasonOf);
      signal.throwIfAborted();
      if (typeof compared === "string") {
        const cause = shown.brokeOff ? "unreachable" : "unreadable";
        return { kind: "undecided", cause, reason: compared };
      }
      if (!compared) return SHOWS_OTHERS;
    } else if (!(await beginsLikeGit(response))) {
      return { kind: "undecided", cause: "unreachable", reason: "the answer is not git's" };
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
  return {
    kind: "undecided",
    cause: status === 429 ? "rate-limited" : "unreachable",
    reason: response.ok ? "the answer is not git's" : `the primary answered ${status}`,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    // What a front end says for all that is behind it.
    ...([502, 503, 504].includes(status) && {
      outage: retryAfterSeconds === undefined ? "likely" : "certain",
    }),
  };
}

/** Of a uuid in the path the primary itself says whose refs these are. */
function isOfName(question: ReadQuestion): question is ReadQuestion & { readonly uuid: string } {
  const { repositoryPath, uuid } = question;
  return uuid !== undefined && !repositoryPath.endsWith(`/{${uuid}}`);
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

/** The first pkt-line in version 0 and 2. An error of git's comes with 200 as well. */
const FIRST_LINE = /^(?:[0-9a-f]{4}# service=git-upload-pack|[0-9a-f]{4}version 2)(?:\n|$)/;
const FIRST_LINE_BYTES = 4 + "# service=git-upload-pack\n".length;

/** What the refs are does not matter here, and in version 0 there may be a lot of them. */
async function beginsLikeGit({ body }: Response): Promise<boolean> {
  let start = "";
  // Ending the iteration cancels the rest.
  for await (const chunk of body ?? []) {
    start += Buffer.from(chunk).toString("latin1", 0, FIRST_LINE_BYTES);
    if (start.length >= FIRST_LINE_BYTES) break;
  }
  const length = Number.parseInt(start.slice(0, 4), 16);
  return FIRST_LINE.test(start.slice(0, length));
}

/** Not 408, 425 and 429, which say nothing of the right. */
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
    return undefined; // URIError: the only one there is
  }
}

function shortText(text: string | null): string | undefined {
  return text !== null && /^[\x20-\x7e]{1,100}$/.test(text) ? text : undefined;
}

/** Of undici's errors only the innermost one says something. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

/** What the primary sends, and whether it was that which failed. */
class Watched {
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
