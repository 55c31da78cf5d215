/** A function whose answers show what lib/http/lambda-server.ts does with them; each path is a case. */
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { textResponse } from "../../../lib/http/error-response.ts";
import { lambdaServer } from "../../../lib/http/lambda-server.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../../lib/http/message.ts";
import { pinoLogger } from "../../../lib/log-pino.ts";

const MEBIBYTE = new Uint8Array(1024 * 1024).fill(7);

const scripted: HttpHandler = async (request) => {
  switch (request.path) {
    case "/echo":
      return echo(request);
    case "/empty":
      return { ...textResponse(204, ""), body: mebibytes(0) };
    case "/large":
      return { status: 200, headers: {}, body: mebibytes(Number(request.query.get("mebibytes"))) };
    case "/throws":
      throw new Error("a bug");
    case "/cut":
      return { status: 200, headers: {}, body: cutAfter(3) };
    case "/until-aborted":
      return { status: 200, headers: {}, body: untilAborted(request.signal) };
    default:
      return textResponse(404, "not found");
  }
};

export const handler = lambdaServer(scripted, { log: pinoLogger("info") });

async function echo(request: HttpRequest): Promise<HttpResponse> {
  const body = (await buffer(request.body)).toString("base64");
  const { method, path, headers } = request;
  return textResponse(200, JSON.stringify({ method, path, query: [...request.query], headers, body }));
}

async function* mebibytes(count: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let index = 0; index < count; index++) yield MEBIBYTE;
}

async function* cutAfter(count: number): AsyncGenerator<Uint8Array, void, undefined> {
  yield* mebibytes(count);
  throw new Error("the store broke");
}

async function* untilAborted(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  yield new TextEncoder().encode("waiting\n");
  await sleep(120_000, undefined, { signal }).catch(() => undefined);
  yield new TextEncoder().encode(signal.aborted ? "out of time\n" : "not aborted\n");
}
