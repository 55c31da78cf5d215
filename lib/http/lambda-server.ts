/**
 * An HttpHandler as a Lambda function behind API Gateway with response streaming. middy writes the prelude (status and
 * headers) and pipes the body with backpressure.
 * The runtime sends a prelude only on the first write, so even an empty body needs one; middy does that too.
 */
import { Readable } from "node:stream";
import middy from "@middy/core";
import { executionModeStreamifyResponse } from "@middy/core/StreamifyResponse";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import { answer } from "./answer.ts";
import { type ApiGatewayEvent, requestOfEvent } from "./api-gateway-event.ts";
import type { HttpHandler, HttpResponse } from "./message.ts";

/** What is left for telling the caller, in the protocol, that time is up. */
const LAST_WORDS_MS = 5_000;

/** API Gateway frames the response itself; a length it has not checked could only contradict it. */
const HOP_HEADERS: ReadonlySet<string> = new Set(["content-length", "connection", "transfer-encoding"]);

interface InvocationContext {
  getRemainingTimeInMillis(): number;
}

interface StreamedResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readable;
}

/** To be called inside the Lambda runtime: middy takes its `awslambda` global at once. */
export function lambdaServer(handler: HttpHandler, { log }: { readonly log: Logger }): unknown {
  return middy(
    async (event: ApiGatewayEvent, context: InvocationContext): Promise<StreamedResponse> => {
      const signal = AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - LAST_WORDS_MS));
      const response = await answer(handler, requestOfEvent(event, signal), log);
      return {
        statusCode: response.status,
        headers: endToEndHeaders(response),
        body: Readable.from(logged(response.body, event, log)),
      };
    },
    { executionMode: executionModeStreamifyResponse },
  );
}

function endToEndHeaders({ headers }: HttpResponse): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_HEADERS.has(name.toLowerCase())));
}

/**
 * After the status has gone out, a failure can only cut the response. The runtime does that when the body throws, and
 * ends its process as well, so handlers that can report a failure within their protocol should.
 */
async function* logged(
  body: AsyncIterable<Uint8Array>,
  event: ApiGatewayEvent,
  log: Logger,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } catch (error) {
    const fields = { method: event.httpMethod, path: event.path, ...errorFields(error) };
    log.error("http:response-cut", fields, { AnswerFailures: 1 });
    throw error;
  }
}
