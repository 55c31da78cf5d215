/**
 * An API Gateway REST API with response streaming in front of one Lambda function, for tests: the function's bundle is
 * run by AWS's own runtime client in a process of its own, one invocation at a time, and a new one is started when it
 * dies. Keeps the limits that code can run into.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import type { AuthorizerResult } from "../../../lib/http/lambda-authorizer.ts";
import { gatewayEvent } from "./gateway-event.ts";
import { type LambdaInvoker, startLambdaInvoker } from "./lambda-invoker.ts";
import { type RuntimeApi, startRuntimeApi } from "./runtime-api.ts";
import { type SandboxOptions, startSandbox } from "./sandbox.ts";
import { readStreamedResponse } from "./streamed-response.ts";

/** Of API Gateway, for a request's body. */
const MAX_REQUEST_BYTES = 10 * 1024 * 1024;
/** Of Lambda, for the event's JSON: a body in base64 counts a third more than it is. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;

export interface LambdaGatewayOptions extends SandboxOptions {
  readonly timeoutMs?: number;
  /** A Lambda authorizer of type REQUEST, asked for each request. */
  readonly authorizer?: SandboxOptions;
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
  const authorizer = options.authorizer && (await startLambdaInvoker(options.authorizer));
  let lastInvocation: Promise<void> = Promise.resolve();
  const server = createServer((incoming, outgoing) => {
    const turn = lastInvocation;
    const timeoutMs = options.timeoutMs ?? 60_000;
    lastInvocation = turn.then(() => forward(incoming, outgoing, { runtimeApi, authorizer, timeoutMs }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: () => sandbox.log() + (authorizer?.log() ?? ""),
    startedProcesses: sandbox.startedProcesses,
    async close() {
      server.close();
      server.closeAllConnections();
      await Promise.all([sandbox.stop(), authorizer?.close()]);
      runtimeApi.close();
    },
  };
}

interface Backends {
  readonly runtimeApi: RuntimeApi;
  readonly authorizer: LambdaInvoker | undefined;
  readonly timeoutMs: number;
}

/** @returns The context that the function gets. @throws {Error} The authorizer failed, or did not allow. */
async function authorize(
  authorizer: LambdaInvoker,
  incoming: IncomingMessage,
): Promise<Readonly<Record<string, unknown>> | "unauthorized"> {
  const { body: _, isBase64Encoded: __, ...event } = gatewayEvent(incoming, Buffer.alloc(0), undefined);
  const methodArn = `arn:aws:execute-api:us-east-1:000000000000:api/git/${event.httpMethod}${event.path}`;
  const answer = await authorizer.tryInvoke({ type: "REQUEST", methodArn, ...event });
  if (answer.kind === "failed") {
    if (answer.errorMessage === "Unauthorized") return "unauthorized";
    throw new Error(`the authorizer failed: ${answer.errorMessage}`);
  }
  const { policyDocument, context } = answer.result as AuthorizerResult;
  const [statement] = policyDocument.Statement;
  if (
    statement?.Effect !== "Allow" ||
    statement.Resource !== "arn:aws:execute-api:us-east-1:000000000000:api/git/*"
  ) {
    throw new Error("the authorizer does not allow the request");
  }
  for (const value of Object.values(context)) {
    if (typeof value !== "string") throw new Error("a value of an authorizer's context is no text");
  }
  return context;
}

/** API Gateway does so with the answers of functions. */
function remapped(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name.toLowerCase() === "www-authenticate" ? "x-amzn-Remapped-WWW-Authenticate" : name,
      value,
    ]),
  );
}

/** Never rejects: what goes wrong is a status or a cut connection, as it is with API Gateway. */
async function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { runtimeApi, authorizer, timeoutMs }: Backends,
): Promise<void> {
  try {
    const body = await buffer(incoming);
    const context = authorizer && (await authorize(authorizer, incoming));
    if (context === "unauthorized") {
      // infra/git-endpoint.ts sets the same for the gateway response UNAUTHORIZED.
      const challenge = 'Basic realm="gateway"';
      outgoing.writeHead(401, { "WWW-Authenticate": challenge, "LFS-Authenticate": challenge }).end();
      return;
    }
    const event = gatewayEvent(incoming, body, context);
    if (body.length > MAX_REQUEST_BYTES || JSON.stringify(event).length > MAX_EVENT_BYTES) {
      outgoing.writeHead(413).end();
      return;
    }
    const response = await new Promise<IncomingMessage | undefined>((onResponse) =>
      runtimeApi.invoke({ event, deadlineMs: Date.now() + timeoutMs, onResponse }),
    );
    if (response === undefined) throw new Error("the function failed before its response");
    const { statusCode, headers, body: responseBody } = await readStreamedResponse(response);
    outgoing.writeHead(statusCode, remapped(headers));
    outgoing.flushHeaders();
    await pipeline(responseBody, outgoing);
  } catch {
    if (outgoing.headersSent) outgoing.destroy();
    else outgoing.writeHead(502, { "content-type": "application/json" }).end('{"message":"Bad Gateway"}');
  }
}
