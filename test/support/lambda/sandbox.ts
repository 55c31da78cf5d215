/**
 * A Lambda execution environment: a process in which AWS's runtime client runs a function's bundle. A new one is started
 * when it dies.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { recordOutput } from "../recorded-output.ts";
import type { RuntimeApi } from "./runtime-api.ts";

export interface SandboxOptions {
  /** Entry file of aws-lambda-ric. */
  readonly runtimeClient: string;
  /** The bundle: index.mjs that exports `handler`. */
  readonly codeFolder: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface Sandbox {
  log(): string;
  startedProcesses(): number;
  stop(): Promise<void>;
}

export function startSandbox(options: SandboxOptions, runtimeApi: RuntimeApi): Sandbox {
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
    const keep = (bytes: Buffer) => {
      log += bytes.toString();
      recordOutput(bytes.toString(), "functions");
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
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
  };
}
