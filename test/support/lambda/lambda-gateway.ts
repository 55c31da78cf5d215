/**
 * An API Gateway REST API with response streaming in front of one Lambda function, for tests: the function's bundle is
 * run by AWS's own runtime client in a process of its own, one invocation at a time, and a new one is started when it
 * dies. Keeps the limits that code can run into.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { gatewayEvent } from "./gateway-event.ts";
import { type RuntimeApi, startRuntimeApi } from "./runtime-api.ts";
import { type SandboxOptions, startSandbox } from "./sandbox.ts";
import { readStreamedResponse } from "./streamed-response.ts";

/** Of API Gateway, for a request's body. */
const MAX_REQUEST_BYTES = 10 * 1024 * 1024;
/** Of Lambda, for the event's JSON: a body in base64 counts a third more than it is. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;

export interface LambdaGatewayOptions extends SandboxOptions {
  readonly timeoutMs?: number;
}

export interface LambdaGateway {
  readonly url: string;
  /** What the function wrote to its log. */
  log(): string;
  /** How many processes were started: one, unless the function killed some. */
  startedProcesses(): number;
  close(): Promise<void>;
}

export async function startLambdaGateway(options: LambdaGatewayOptions): Promise<LambdaGateway> {
  const runtimeApi = await startRuntimeApi();
  const sandbox = startSandbox(options, runtimeApi);
  let lastInvocation: Promise<void> = Promise.resolve();
  const server = createServer((incoming, outgoing) => {
    const turn = lastInvocation;
    lastInvocation = turn.then(() => forward(incoming, outgoing, runtimeApi, options.timeoutMs ?? 60_000));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: sandbox.log,
    startedProcesses: sandbox.startedProcesses,
    async close() {
      server.close();
      server.closeAllConnections();
      await sandbox.stop();
      runtimeApi.close();
    },
  };
}

/** Never rejects: what goes wrong is a status or a cut connection, as it is with API Gateway. */
async function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  runtimeApi: RuntimeApi,
  timeoutMs: number,
): Promise<void> {
  try {
    const body = await buffer(incoming);
    const event = gatewayEvent(incoming, body);
    if (body.length > MAX_REQUEST_BYTES || JSON.stringify(event).length > MAX_EVENT_BYTES) {
      outgoing.writeHead(413).end();
      return;
    }
    const response = await new Promise<IncomingMessage | undefined>((onResponse) =>
      runtimeApi.invoke({ event, deadlineMs: Date.now() + timeoutMs, onResponse }),
    );
    if (response === undefined) throw new Error("the function failed before its response");
    const { statusCode, headers, body: responseBody } = await readStreamedResponse(response);
    outgoing.writeHead(statusCode, headers);
    outgoing.flushHeaders();
    await pipeline(responseBody, outgoing);
  } catch {
    if (outgoing.headersSent) outgoing.destroy();
    else outgoing.writeHead(502, { "content-type": "application/json" }).end('{"message":"Bad Gateway"}');
  }
}
