/** A function whose answers show what lib/http/lambda-server.ts does with them; each path is a case. */
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { textResponse } from "../../../lib/http/error-response.ts";
import { lambdaServer } from "../../../lib/http/lambda-server.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../../lib/http/message.ts";
import { pinoLogger } from "../../../lib/log-pino.ts";

const MEBIBYTE = new Uint8Array(1024 * 1024).fill(7);

/** Of a timer that runs on between invocations, where a process is not frozen. */
let ticks = 0;
setInterval(() => (ticks += 1), 50).unref();
/** Bodies that were sent to their end. */
let finished = 0;

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
    case "/process":
      return textResponse(200, JSON.stringify({ pid: process.pid, ticks, finished }));
    case "/paced":
      return { status: 200, headers: {}, body: finishing(mebibytes(Number(request.query.get("mebibytes")))) };
    case "/hangs":
      await sleep(120_000);
      return textResponse(200, "");
    case "/spins":
      // Not even the early end before a function's time is up comes to its turn.
      for (;;);
    case "/allocates":
      return allocating();
    case "/writes":
      return writing();
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

async function* finishing(
  body: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* body;
  finished += 1;
}

async function allocating(): Promise<HttpResponse> {
  const kept: Buffer[] = [];
  for (;;) {
    kept.push(Buffer.alloc(16 * 1024 * 1024, kept.length + 1));
    await sleep(20);
  }
}

async function writing(): Promise<HttpResponse> {
  const file = await open(join(tmpdir(), "large"), "w");
  try {
    for (;;) await file.write(MEBIBYTE);
  } catch (error) {
    return textResponse(507, String((error as NodeJS.ErrnoException).code));
  } finally {
    await file.close();
  }
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
