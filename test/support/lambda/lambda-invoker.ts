/** Invokes a Lambda function that answers in one piece, as an event source does. */
import type { IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { startRuntimeApi } from "./runtime-api.ts";
import { type SandboxOptions, startSandbox } from "./sandbox.ts";

export interface LambdaInvoker {
  /** @throws {Error} The function failed. */
  invoke(event: unknown): Promise<unknown>;
  log(): string;
  close(): Promise<void>;
}

const TIMEOUT_MS = 100_000;

export async function startLambdaInvoker(options: SandboxOptions): Promise<LambdaInvoker> {
  const runtimeApi = await startRuntimeApi();
  const sandbox = startSandbox(options, runtimeApi);
  return {
    async invoke(event) {
      const response = await new Promise<IncomingMessage | undefined>((onResponse) =>
        runtimeApi.invoke({ event, deadlineMs: Date.now() + TIMEOUT_MS, onResponse }),
      );
      if (response === undefined) throw new Error(`the function failed: ${sandbox.log()}`);
      return json(response);
    },
    log: sandbox.log,
    async close() {
      await sandbox.stop();
      runtimeApi.close();
    },
  };
}
