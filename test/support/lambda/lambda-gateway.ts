/**
 * An API Gateway REST API with response streaming in front of one Lambda function, for tests: the function's bundle is
 * run by AWS's own runtime client in a process of its own, one invocation at a time, and a new one is started when it
 * dies. Keeps the limits that code can run into.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { gatewayEvent } from "./gateway-event.ts";
import { type RuntimeApi, startRuntimeApi } from "./runtime-api.ts";
import { readStreamedResponse } from "./streamed-response.ts";

/** Of API Gateway, for a request's body. */
const MAX_REQUEST_BYTES = 10 * 1024 * 1024;
/** Of Lambda, for the event's JSON: a body in base64 counts a third more than it is. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;

export interface LambdaGatewayOptions {
  /** Entry file of aws-lambda-ric. */
  readonly runtimeClient: string;
  /** The bundle: index.mjs that exports `handler`. */
  readonly codeFolder: string;
  readonly environment: Readonly<Record<string, string>>;
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

interface Sandbox {
  log(): string;
  startedProcesses(): number;
  stop(): Promise<void>;
}

function startSandbox(options: LambdaGatewayOptions, runtimeApi: RuntimeApi): Sandbox {
  let log = "";
  let startedProcesses = 0;
  let isStopped = false;
  let child: ChildProcess;
  const start = () => {
    startedProcesses += 1;
    child = spawn(process.execPath, [options.runtimeClient], {
      env: { ...runtimeEnvironment(options.codeFolder, runtimeApi.address), ...options.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout?.on("data", (bytes: Buffer) => (log += bytes.toString()));
    child.stderr?.on("data", (bytes: Buffer) => (log += bytes.toString()));
    child.once("exit", () => {
      runtimeApi.fail();
      // A function that cannot even start would otherwise be started for ever.
      if (!isStopped && startedProcesses < 10) start();
    });
  };
  start();
  return {
    log: () => log,
    startedProcesses: () => startedProcesses,
    async stop() {
      isStopped = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function runtimeEnvironment(codeFolder: string, runtimeApiAddress: string): Record<string, string> {
  const { PATH = "" } = process.env;
  return {
    PATH,
    AWS_LAMBDA_RUNTIME_API: runtimeApiAddress,
    LAMBDA_TASK_ROOT: codeFolder,
    _HANDLER: "index.handler",
    AWS_LAMBDA_FUNCTION_NAME: "under-test",
    AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "1769",
    AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/under-test",
    AWS_LAMBDA_LOG_STREAM_NAME: "under-test",
    AWS_REGION: "us-east-1",
    NODE_OPTIONS: "--enable-source-maps",
  };
}
