/** One request to Bitbucket's REST API: credential, limits, and what its refusals mean. */
import * as z from "zod";
import { MirrorError, NotFoundError, UnexpectedAnswerError, UpstreamError } from "../errors.ts";
import { printableLine } from "../printable-line.ts";
import { readBody } from "../read-body.ts";
import { type ReadRetryOptions, readWithRetry } from "../retry-read.ts";
import { refusedAnswer } from "./refused-answer.ts";

type RestApiLimits = Readonly<typeof DEFAULT_REST_API_LIMITS>;

export const DEFAULT_REST_API_LIMITS = {
  /** For one request, its body included. */
  timeoutMs: 30_000,
  /** For one answer. A page of 100 whole repositories is about 400 kB. */
  maxAnswerBytes: 8 * 1024 * 1024,
  /** For one list: 1,000 pages are 100,000 repositories, and as many requests as Bitbucket allows in an hour. */
  maxPages: 1_000,
};

export interface RestApiOptions extends ReadRetryOptions {
  /** `https://api.bitbucket.org/2.0`, or where another one is. */
  readonly apiUrl: string;
  readonly authorization: string | undefined;
  readonly limits?: RestApiLimits;
}

const errorSchema = z.object({ error: z.object({ message: z.string() }) });

const MAX_ERROR_TEXT_LENGTH = 300;

/** One GET; once more if it breaks. Throws as `requestJson` does. */
export function getJson<T>(url: URL, schema: z.ZodType<T>, options: RestApiOptions): Promise<T> {
  return readWithRetry(options, (fetch) => requestJson("GET", url, undefined, schema, { ...options, fetch }));
}

/**
 * One request, made once.
 * @param body - To be sent as JSON; `undefined` for none.
 * @throws {NotFoundError} 404.
 * @throws {UnexpectedAnswerError} The answer does not match `schema`.
 * @throws {UpstreamError} Any other answer that is of no use, or none; `retryable` for 429, 5xx and no answer.
 * @throws {LimitExceededError} The answer is too long.
 */
export async function requestJson<T>(
  method: "GET" | "POST" | "PUT" | "DELETE",
  url: URL,
  body: unknown,
  schema: z.ZodType<T>,
  { fetch, authorization, limits = DEFAULT_REST_API_LIMITS }: RestApiOptions,
): Promise<T> {
  const path = url.pathname;
  const signal = AbortSignal.timeout(limits.timeoutMs);
  const headers = {
    Accept: "application/json",
    ...(authorization !== undefined && { authorization }),
    ...(body !== undefined && { "Content-Type": "application/json" }),
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      headers,
      signal,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const name = "an answer of Bitbucket";
    text = new TextDecoder().decode(await readBody(response.body, limits.maxAnswerBytes, name));
  } catch (error) {
    if (error instanceof MirrorError) throw error;
    const timedOut = signal.aborted;
    const reason = timedOut ? `gave no answer within ${limits.timeoutMs} ms` : "cannot be reached";
    throw new UpstreamError(`Bitbucket at ${new URL(url).origin} ${reason}`, {
      retryable: true,
      timedOut,
      path,
      cause: error,
    });
  }
  if (!response.ok) throw refusalError(response, text, path);
  return decode(text === "" ? "null" : text, schema, path);
}

function decode<T>(text: string, schema: z.ZodType<T>, path: string): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UpstreamError("Bitbucket's answer is not JSON", { retryable: false, path, cause: error });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const message = `Bitbucket's answer has not the expected form: ${problemOf(result.error)}`;
  throw new UnexpectedAnswerError(message, { retryable: false, path, cause: result.error });
}

export function problemOf(error: z.ZodError): string {
  return z.prettifyError(error).slice(0, MAX_ERROR_TEXT_LENGTH);
}

/** 401 and 403 are faults of our credential, never a sign that a repository is gone. */
function refusalError(response: Response, text: string, path: string): Error {
  const { status } = response;
  const said = upstreamMessage(text);
  if (status === 404) return new NotFoundError(`Bitbucket: ${said ?? "not found"}`, { path });
  const reason = said === undefined ? "" : `: ${said}`;
  return refusedAnswer(`Bitbucket answered ${status}${reason}`, response, { path });
}

/** Error bodies are not always JSON. */
function upstreamMessage(text: string): string | undefined {
  try {
    const { message } = errorSchema.parse(JSON.parse(text)).error;
    return printableLine(message.slice(0, MAX_ERROR_TEXT_LENGTH));
  } catch {
    return undefined;
  }
}
