/** What every transport does with a handler: run it, and turn a failure before the first byte into a status. */
import { errorFields, OverloadedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { errorResponse } from "./error-response.ts";
import { loggedPath } from "./logged-path.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "./message.ts";

/**
 * Runs `handler` and pulls its body's first chunk, so that a failure there still has a status.
 * For HEAD, and where a status forbids one, the body is ended unread.
 * Never rejects. A failure after the first chunk is the body's, and the transport cuts the connection.
 */
export async function answer(handler: HttpHandler, request: HttpRequest, log: Logger): Promise<HttpResponse> {
  try {
    const response = await handler(request);
    const chunks = response.body[Symbol.asyncIterator]();
    if (request.method === "HEAD" || isBodiless(response.status)) {
      await chunks.return?.();
      return { ...response, body: noChunks() };
    }
    return { ...response, body: resumed(await chunks.next(), chunks) };
  } catch (error) {
    const response = errorResponse(error);
    if (request.signal.aborted) {
      // Many may leave at once: the error has no detail.
      log.debug("http:caller-gone", { method: request.method, path: loggedPath(request.path) });
      return response;
    }
    const fields = {
      method: request.method,
      path: loggedPath(request.path),
      status: response.status,
      ...errorFields(error),
    };
    if (response.status >= 500 && !(error instanceof OverloadedError))
      log.error("http:failed", fields, { AnswerFailures: 1 });
    else log.info("http:refused", fields);
    return request.method === "HEAD" ? { ...response, body: noChunks() } : response;
  }
}

function isBodiless(status: number): boolean {
  return status === 204 || status === 304;
}

async function* noChunks(): AsyncGenerator<Uint8Array, void, undefined> {}

/** An iteration whose first step has been taken. Ending it early ends `rest`, also before its first pull. */
function resumed(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  let pending: IteratorResult<Uint8Array> | undefined = first;
  const iterator: AsyncIterator<Uint8Array> = {
    next() {
      if (pending === undefined) return rest.next();
      const taken = pending;
      pending = undefined;
      return Promise.resolve(taken);
    },
    async return() {
      await rest.return?.();
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
