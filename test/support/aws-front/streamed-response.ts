/**
 * Takes a streamed Lambda response apart as API Gateway does: JSON with the status and headers, 8 NUL bytes, body.
 * Source: "Set up a Lambda proxy integration with payload response streaming" in API Gateway's developer guide.
 */
import type { IncomingMessage } from "node:http";

const PRELUDE_END = Buffer.alloc(8);
const PRELUDE_CONTENT_TYPE = "application/vnd.awslambda.http-integration-response";
/** AWS wants the prelude's end within the first bytes of a response. */
const MAX_PRELUDE_BYTES = 16_384;
/** Lambda cuts a streamed response here: it says 200 MB, and this is the smaller meaning of it. The prelude counts. */
const MAX_RESPONSE_BYTES = 200_000_000;

export interface StreamedResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Throws when the function failed on the way, or went past Lambda's limit. */
  readonly body: AsyncGenerator<Buffer, void, undefined>;
}

/** @throws {Error} The response is not what API Gateway accepts for streaming; it would answer 502. */
export async function readStreamedResponse(response: IncomingMessage): Promise<StreamedResponse> {
  if (response.headers["lambda-runtime-function-response-mode"] !== "streaming") {
    throw new Error("the function answers in one piece");
  }
  if (response.headers["content-type"] !== PRELUDE_CONTENT_TYPE) throw new Error("no prelude is announced");
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0);
  let preludeBytes = -1;
  while (preludeBytes < 0) {
    const next = await chunks.next();
    if (next.done === true) throw new Error("the response ends inside its prelude");
    head = Buffer.concat([head, next.value]);
    preludeBytes = head.subarray(0, MAX_PRELUDE_BYTES).indexOf(PRELUDE_END);
    if (preludeBytes < 0 && head.length >= MAX_PRELUDE_BYTES) throw new Error("the prelude is too long");
  }
  const prelude: unknown = JSON.parse(head.toString("utf8", 0, preludeBytes));
  const { statusCode, headers = {} } = prelude as { statusCode: number; headers?: Record<string, string> };
  if (!Number.isInteger(statusCode)) throw new Error("the prelude has no status code");
  const bodyStart = head.subarray(preludeBytes + PRELUDE_END.length);
  return { statusCode, headers, body: bodyOf(response, bodyStart, chunks) };
}

async function* bodyOf(
  response: IncomingMessage,
  start: Buffer,
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let bytesSent = MAX_PRELUDE_BYTES + start.length;
  if (start.length > 0) yield start;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
    bytesSent += next.value.length;
    if (bytesSent > MAX_RESPONSE_BYTES) throw new Error("Lambda streams 200 MB at most");
    yield next.value;
  }
  const errorType = response.trailers["lambda-runtime-function-error-type"];
  if (errorType !== undefined) throw new Error(`the function failed: ${errorType}`);
}
