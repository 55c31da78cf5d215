/** HTTP to the primary's git server: credential, limits, and what its refusals mean. */
import { NotFoundError, UpstreamError } from "../errors.ts";
import { mediaType } from "../media-type.ts";
import { readBody } from "../read-body.ts";
import { type ReadRetryOptions, readWithRetry } from "../retry-read.ts";
import { refusedAnswer } from "./refused-answer.ts";

export type GitHttpLimits = Readonly<typeof DEFAULT_GIT_HTTP_LIMITS>;

export const DEFAULT_GIT_HTTP_LIMITS = {
  /** Until an answer begins. A large repository's pack is counted before its first byte, with signs of life. */
  answerTimeoutMs: 120_000,
  /** Without a byte. git sends a sign of life every five seconds. */
  idleTimeoutMs: 120_000,
  /** Of a list of refs: 500,000 refs take about 50 MB. */
  maxRefListBytes: 256 * 1024 * 1024,
};

export interface GitHttpClientOptions extends ReadRetryOptions {
  readonly authorization: string | undefined;
  readonly limits?: GitHttpLimits;
  /** Ends what is under way. */
  readonly signal?: AbortSignal;
}

export interface GitRepositoryOptions extends GitHttpClientOptions {
  /** The clone URL, without credential. */
  readonly repositoryUrl: string;
  /** Name and version of this client, without spaces. */
  readonly agent: string;
}

export interface GitHttpRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The media type that git's own answer has. */
  readonly answerType: string;
}

export interface GitHttpAnswer {
  /** Where it came from, after redirects. */
  readonly url: string;
  /** Throws {@link UpstreamError} when the connection breaks or falls silent. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Reads a whole answer; the request is repeated once if it breaks.
 * @param decode - Throws a retryable {@link UpstreamError} if the answer is not complete.
 * @throws As `requestGit`, and what `decode` throws. @throws {LimitExceededError} The answer is longer than the limit.
 */
export function readGitAnswer<T>(
  request: GitHttpRequest,
  options: GitHttpClientOptions,
  decode: (bytes: Uint8Array, url: string) => T,
): Promise<T> {
  const { limits = DEFAULT_GIT_HTTP_LIMITS } = options;
  return readWithRetry(options, async (fetch) => {
    const { url, body } = await requestGit(request, { ...options, fetch });
    return decode(await readRefList(body, limits), url);
  });
}

/** Begins to read an answer; the request is repeated once if it breaks before the first byte. Throws as `requestGit`. */
export function beginGitAnswer(
  request: GitHttpRequest,
  options: GitHttpClientOptions,
): Promise<GitHttpAnswer> {
  return readWithRetry(options, async (fetch) => {
    const { url, body } = await requestGit(request, { ...options, fetch });
    const chunks = body[Symbol.asyncIterator]();
    return { url, body: chunksFrom(await chunks.next(), chunks) };
  });
}

async function* chunksFrom(
  first: IteratorResult<Uint8Array>,
  others: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let chunk = first; chunk.done !== true; chunk = await others.next()) yield chunk.value;
  } finally {
    await others.return?.();
  }
}

/**
 * Sends one request, once.
 * @throws {NotFoundError} 404: no such repository, or no right to see it.
 * @throws {UpstreamError} Any other refusal, or no answer; `retryable` for 429, 5xx and no answer.
 */
async function requestGit(request: GitHttpRequest, options: GitHttpClientOptions): Promise<GitHttpAnswer> {
  const { fetch, authorization, limits = DEFAULT_GIT_HTTP_LIMITS, signal } = options;
  const watch = new SilenceWatch(limits.answerTimeoutMs, signal);
  let response: Response;
  try {
    response = await fetch(request.url, {
      method: request.method,
      headers: { ...request.headers, ...(authorization !== undefined && { authorization }) },
      body: request.body === undefined ? null : Buffer.from(request.body),
      // A redirected POST would arrive as a GET; where the refs are listed, a redirect is followed and remembered.
      redirect: request.method === "GET" ? "follow" : "manual",
      signal: watch.signal,
    });
  } catch (error) {
    watch.stop();
    throw unreachable(error, watch);
  }
  if (response.ok && mediaType(response.headers.get("content-type")) === request.answerType) {
    return { url: response.url, body: bodyChunks(response, limits, watch) };
  }
  watch.stop();
  // Errors of an answer that is not read do not matter.
  await response.body?.cancel().catch(() => undefined);
  throw response.ok ? notGitError(response) : refusalError(response);
}

async function* bodyChunks(
  response: Response,
  limits: GitHttpLimits,
  watch: SilenceWatch,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of response.body ?? []) {
      // While the reader is busy with a chunk, silence is not the primary's.
      watch.stop();
      yield chunk;
      watch.restart(limits.idleTimeoutMs);
    }
  } catch (error) {
    throw unreachable(error, watch);
  } finally {
    watch.stop();
  }
}

/** Aborts when nothing has happened for some time. */
class SilenceWatch {
  readonly #controller = new AbortController();
  readonly signal: AbortSignal;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, outer: AbortSignal | undefined) {
    this.signal =
      outer === undefined ? this.#controller.signal : AbortSignal.any([this.#controller.signal, outer]);
    this.restart(timeoutMs);
  }

  get fellSilent(): boolean {
    return this.#controller.signal.aborted;
  }

  restart(timeoutMs: number): void {
    clearTimeout(this.#timer);
    const silent = () => new DOMException("the primary has fallen silent", "TimeoutError");
    this.#timer = setTimeout(() => this.#controller.abort(silent()), timeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

function unreachable(error: unknown, watch: SilenceWatch): unknown {
  if (watch.signal.aborted && !watch.fellSilent) return error; // the caller's own wish
  const message = watch.fellSilent ? "the primary has fallen silent" : "the primary cannot be reached";
  return new UpstreamError(message, { retryable: true, timedOut: watch.fellSilent, cause: error });
}

/** A page to log in or to say sorry, mostly. */
function notGitError({ url, headers, status }: Response): Error {
  return new UpstreamError("the primary's answer is not a git response", {
    retryable: false,
    status,
    path: new URL(url).pathname,
    contentType: headers.get("content-type"),
  });
}

function refusalError(response: Response): Error {
  const { status } = response;
  const path = new URL(response.url).pathname;
  if (status === 404)
    return new NotFoundError("the primary has no such repository, or the credential may not see it", {
      path,
    });
  if (status >= 300 && status < 400)
    return new UpstreamError("the primary redirects a command", { retryable: true, status, path });
  const hint = status === 401 || status === 403 ? ": check the credential and its scopes" : "";
  return refusedAnswer(`the primary answered ${status}${hint}`, response, { path });
}

/** @throws {LimitExceededError} */
export function readRefList(
  body: AsyncIterable<Uint8Array>,
  { maxRefListBytes }: GitHttpLimits,
): Promise<Uint8Array> {
  return readBody(body, maxRefListBytes, "the primary's list of refs");
}
