/** Invokes a Lambda function that answers in one piece, as an event source does. */
import type { IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { startRuntimeApi } from "./runtime-api.ts";
import { type SandboxOptions, startSandbox } from "./sandbox.ts";

type InvocationResult =
  | { readonly kind: "done"; readonly result: unknown }
  | { readonly kind: "failed"; readonly errorMessage: string };

export interface LambdaInvoker {
  /** @throws {Error} The function failed. */
  invoke(event: unknown): Promise<unknown>;
  /** The same, with a failure as a value. */
  tryInvoke(event: unknown): Promise<InvocationResult>;
  log(): string;
  close(): Promise<void>;
}

const TIMEOUT_MS = 100_000;

/** One invocation at a time, as in one execution environment; others wait. */
export async function startLambdaInvoker(options: SandboxOptions): Promise<LambdaInvoker> {
  const runtimeApi = await startRuntimeApi();
  const sandbox = startSandbox(options, runtimeApi);
  async function tryInvoke(event: unknown): Promise<InvocationResult> {
    let errorMessage = "the process ended";
    const response = await new Promise<IncomingMessage | undefined>((onResponse) =>
      runtimeApi.invoke({
        event,
        deadlineMs: Date.now() + TIMEOUT_MS,
        onResponse,
        onError: (message) => (errorMessage = message),
      }),
    );
    return response === undefined
      ? { kind: "failed", errorMessage }
      : { kind: "done", result: await json(response) };
  }
  return {
    tryInvoke,
    async invoke(event) {
      const answer = await tryInvoke(event);
      if (answer.kind === "failed") throw new Error(`the function failed: ${sandbox.log()}`);
      return answer.result;
    },
    log: sandbox.log,
    async close() {
      await sandbox.stop();
      runtimeApi.close();
    },
  };
}
