/**
 * Passes a push through to the primary with the caller's own credential. Both bodies are streamed as they are, so Bitbucket's messages
 * reach git unchanged, and a push of any size takes no memory here.
 * Source: gitprotocol-http(5), "Smart Service git-receive-pack".
 */
import { repositoryUrlOf } from "../bitbucket/repository-url.ts";
import { OverloadedError, UpstreamError } from "../errors.ts";
import { untilAborted } from "../git/until-aborted.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { findWorkspace, type MirrorConfig } from "../mirror/mirror-config.ts";
import { parseRetryAfter } from "../retry-after.ts";
import { type RetryBudget, readWithRetry } from "../retry-read.ts";
import { NO_CACHE_HEADERS } from "./route.ts";

export interface PushRelay {
  readonly kind: "relay";
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
  readonly fetch: typeof fetch;
  /** Pushes to other workspaces than its are not passed through. */
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly retryBudget?: RetryBudget;
  /** An upload whose caller sends nothing for so long ends. By default a minute. */
  readonly maxIdleMs?: number;
}

/** What git sends. Not `expect`: the transport has answered it. */
const REQUEST_HEADERS = [
  "authorization",
  "content-type",
  "content-length",
  "content-encoding",
  "accept",
  "accept-language",
  "git-protocol",
  "user-agent",
] as const;

const RESPONSE_HEADERS = ["content-type", "www-authenticate", "retry-after"] as const;

const REFS_TIMEOUT_MS = 30_000;
const DEFAULT_MAX_IDLE_MS = 60_000;

/** @param primaryPath - As in `relayPush`. */
export async function relaysTo({ readConfig }: PushRelay, primaryPath: string): Promise<boolean> {
  const workspace = findWorkspace(await readConfig(), primaryPath.split("/", 1)[0] ?? "");
  return workspace !== undefined && workspace.removedAt === undefined;
}

/**
 * @param primaryPath - Of the repository, as the primary has just confirmed it.
 * @throws {OverloadedError} The caller sends nothing any more, or the request's body says that it was cut.
 */
export async function relayPush(
  relay: PushRelay,
  request: HttpRequest,
  primaryPath: string,
): Promise<HttpResponse> {
  const url = repositoryUrlOf(relay.gitUrl, primaryPath);
  if (request.method === "POST") return relayPack(`${url}/git-receive-pack`, request, relay);
  const headers = requestHeaders(request);
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(REFS_TIMEOUT_MS)]);
  const response = await readWithRetry(relay, (fetch) =>
    readRefs(`${url}/info/refs?service=git-receive-pack`, { headers, signal, redirect: "manual" }, fetch),
  );
  return passedOn(response);
}

/** @throws {UpstreamError} No answer, or one that may be better next time. */
async function readRefs(url: string, init: RequestInit, fetch: PushRelay["fetch"]): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw new UpstreamError("the primary cannot be reached", {
      retryable: true,
      timedOut: init.signal?.aborted === true,
      cause: error,
    });
  }
  const { status, headers } = response;
  if (status < 500) return response;
  await response.body?.cancel();
  const retryAfterSeconds = parseRetryAfter(headers.get("retry-after"));
  throw new UpstreamError(`the primary answered ${status}`, {
    retryable: true,
    status,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}

/** Never repeated: the primary may have taken it. */
async function relayPack(
  url: string,
  request: HttpRequest,
  { fetch, maxIdleMs = DEFAULT_MAX_IDLE_MS }: PushRelay,
): Promise<HttpResponse> {
  const ended = new AbortController();
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: requestHeaders(request),
      body: untilIdle(request.body, maxIdleMs, ended),
      duplex: "half",
      redirect: "manual",
      signal: request.signal,
    });
    return await passedOn(response);
  } catch (error) {
    if (request.signal.aborted) throw error;
    if (ended.signal.aborted) throw ended.signal.reason;
    const text =
      "the connection to Bitbucket broke, so the push may have arrived or not: git fetch shows which; then push again";
    return textResponse(502, text, NO_CACHE_HEADERS);
  }
}

/**
 * The time that the primary takes to read a chunk does not count.
 * @param ended - Aborts with the chunks' error, or with an {@link OverloadedError} when none arrives for so long, which ends them.
 */
async function* untilIdle(
  chunks: AsyncIterable<Uint8Array>,
  maxIdleMs: number,
  ended: AbortController,
): AsyncGenerator<Uint8Array, void, undefined> {
  const steps = untilAborted(chunks, ended.signal);
  const text = `the push sent nothing for ${maxIdleMs / 1000} s`;
  try {
    for (;;) {
      const timer = setTimeout(() => ended.abort(new OverloadedError(text, { status: 408 })), maxIdleMs);
      const step = await steps.next().finally(() => clearTimeout(timer));
      if (step.done) return;
      yield step.value;
    }
  } catch (error) {
    ended.abort(error);
    throw error;
  } finally {
    await steps.return();
  }
}

function requestHeaders({ headers }: HttpRequest): Record<string, string> {
  const sent = REQUEST_HEADERS.flatMap((name) =>
    headers[name] === undefined ? [] : [[name, headers[name]]],
  );
  // A compressed answer would have to be unpacked here.
  return { ...Object.fromEntries(sent), "accept-encoding": "identity" };
}

async function passedOn(response: Response): Promise<HttpResponse> {
  const { status, headers, body } = response;
  if (status >= 300 && status < 400) {
    await body?.cancel();
    const text = "this repository has another name at Bitbucket by now; try again in 60 s";
    return textResponse(503, text, { ...NO_CACHE_HEADERS, "retry-after": "60" });
  }
  const kept = RESPONSE_HEADERS.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value]];
  });
  return { status, headers: { ...NO_CACHE_HEADERS, ...Object.fromEntries(kept) }, body: body ?? noBytes() };
}

async function* noBytes(): AsyncGenerator<Uint8Array, void, undefined> {}
