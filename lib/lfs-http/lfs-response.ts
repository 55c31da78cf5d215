/** Answers in the form of git-lfs, also where something else refuses a request of git-lfs. */
import { errorFields } from "../errors.ts";
import { errorResponse, textResponse } from "../http/error-response.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";

export const LFS_TYPE = "application/vnd.git-lfs+json";

/** What git-lfs asks for is below this, wherever the repository is. */
const LFS_PATH = /\/info\/lfs\//;

export function lfsResponse(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return textResponse(status, JSON.stringify(value), { ...headers, "content-type": LFS_TYPE });
}

export function lfsError(
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return lfsResponse(status, { message }, headers);
}

/**
 * git-lfs shows its user the `message` of an error, and gives up at once on 503: what may be otherwise in a moment is 429, which
 * it waits for. Source: git-lfs docs/api/batch.md, "Response Errors"; lfshttp/retries.go.
 */
export function withLfsErrors(handler: HttpHandler, { log }: { readonly log: Logger }): HttpHandler {
  return async (request) => {
    if (!LFS_PATH.test(request.path)) return handler(request);
    const response = await answered(handler, request, log);
    const { status, headers, body } = response;
    if (status < 300 || headers["content-type"] === LFS_TYPE) return response;
    const { "content-length": _length, ...others } = headers;
    const isForLater = status === 503 && headers["retry-after"] !== undefined;
    return lfsError(isForLater ? 429 : status, await oneLine(body), others);
  };
}

async function answered(handler: HttpHandler, request: HttpRequest, log: Logger): Promise<HttpResponse> {
  try {
    return await handler(request);
  } catch (error) {
    const response = errorResponse(error);
    const level = response.status >= 500 && !request.signal.aborted ? "error" : "info";
    log[level]("lfs:failed", { path: request.path, status: response.status, ...errorFields(error) });
    return response;
  }
}

async function oneLine(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8").trim();
}
