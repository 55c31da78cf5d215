/**
 * Lambda's side of the Runtime API, for one execution environment: the runtime client asks for the next invocation and
 * posts its response. Source: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and runtimes-custom.html.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

interface Invocation {
  readonly event: unknown;
  readonly deadlineMs: number;
  /** Gets the response as it streams in. `undefined`: the function failed before it began to respond. */
  readonly onResponse: (response: IncomingMessage | undefined) => void;
  /** Gets what the function says of its failure, before `onResponse`. */
  readonly onError?: (errorMessage: string) => void;
}

export interface RuntimeApi {
  /** For AWS_LAMBDA_RUNTIME_API. */
  readonly address: string;
  invoke(invocation: Invocation): void;
  /** The process behind it is gone: pending responses are rejected. */
  fail(): void;
  close(): void;
}

async function readErrorMessage(incoming: IncomingMessage): Promise<string> {
  try {
    const { errorMessage } = (await json(incoming)) as { errorMessage?: unknown };
    return String(errorMessage);
  } catch {
    return "the connection was cut"; // the process died while it said so
  }
}

export async function startRuntimeApi(): Promise<RuntimeApi> {
  const queued: Invocation[] = [];
  const running = new Map<string, Invocation>();
  let waitingRuntime: ServerResponse | undefined;

  function handOver(): void {
    if (waitingRuntime === undefined) return;
    const invocation = queued.shift();
    if (invocation === undefined) return;
    const requestId = randomUUID();
    running.set(requestId, invocation);
    waitingRuntime.writeHead(200, {
      "content-type": "application/json",
      "lambda-runtime-aws-request-id": requestId,
      "lambda-runtime-deadline-ms": String(invocation.deadlineMs),
      "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-central-1:000000000000:function:under-test",
      "lambda-runtime-trace-id": "Root=1-00000000-000000000000000000000000",
    });
    waitingRuntime.end(JSON.stringify(invocation.event));
    waitingRuntime = undefined;
  }

  function finish(requestId: string, response: IncomingMessage | undefined): void {
    running.get(requestId)?.onResponse(response);
    running.delete(requestId);
  }

  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "";
    if (path.endsWith("/invocation/next")) {
      waitingRuntime = outgoing;
      handOver();
      return;
    }
    const [, requestId, kind] = /\/invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    incoming.once("end", () => outgoing.writeHead(202).end());
    incoming.on("error", () => outgoing.destroy());
    if (requestId !== undefined && kind === "response") return finish(requestId, incoming);
    void readErrorMessage(incoming).then((errorMessage) => {
      if (requestId === undefined) return;
      running.get(requestId)?.onError?.(errorMessage);
      finish(requestId, undefined);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    invoke(invocation) {
      queued.push(invocation);
      handOver();
    },
    fail() {
      waitingRuntime = undefined;
      for (const requestId of [...running.keys()]) finish(requestId, undefined);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
