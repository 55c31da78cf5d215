/**
 * One execution environment of Lambda: a process in which AWS's runtime client runs a function's bundle, and the Runtime API for it. It
 * is frozen while it has no invocation. Sources: docs.aws.amazon.com/lambda/latest/dg/ runtimes-api.html and lambda-runtime-environment.html.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { PROJECT_FOLDER } from "../../../infra/bundle.ts";
import { recordOutput } from "../recorded-output.ts";
import { ACCOUNT, type FunctionDefinition, REGION } from "./template.ts";

export interface FunctionCode {
  /** Entry file of aws-lambda-ric. */
  readonly runtimeClient: string;
  /** The bundle: index.mjs that exports `handler`. */
  readonly codeFolder: string;
}

export interface EnvironmentOptions extends FunctionCode {
  readonly definition: FunctionDefinition;
  readonly onLog: (text: string) => void;
  /** It is ready for the next invocation, and frozen. */
  readonly onReady: () => void;
  /** The process is gone, whatever ended it. */
  readonly onEnd: () => void;
}

export type Outcome =
  /** The response as it streams in. */
  | { readonly kind: "responds"; readonly response: IncomingMessage }
  | { readonly kind: "failed"; readonly errorMessage: string };

export interface ExecutionEnvironment {
  /** For one that is ready. */
  invoke(event: unknown): Promise<Outcome>;
  end(): Promise<void>;
}

/** The deployed runtime is Node 24; the tests' own may be older. */
const NODE = join(PROJECT_FOLDER, "node_modules/node/bin/node");
/** Of its memory, for JavaScript's objects; the rest is for buffers and code. */
const HEAP_SHARE = 0.9;
const MEMORY_CHECK_MS = 250;
const PAGE_BYTES = 4096;
const MEBIBYTE = 1024 * 1024;

interface Invocation {
  readonly id: string;
  readonly settle: (outcome: Outcome) => void;
  readonly timers: readonly NodeJS.Timeout[];
}

let environmentCount = 0;

export async function startEnvironment(options: EnvironmentOptions): Promise<ExecutionEnvironment> {
  const { definition, onLog, onReady, onEnd } = options;
  let waiting: ServerResponse | undefined;
  let running: Invocation | undefined;
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "";
    if (path.endsWith("/invocation/next")) {
      finish({ kind: "failed", errorMessage: "no response" });
      waiting = outgoing;
      child.kill("SIGSTOP");
      onReady();
      return;
    }
    incoming.once("end", () => outgoing.writeHead(202).end());
    incoming.on("error", () => outgoing.destroy());
    if (path.endsWith("/response")) {
      const { settle } = running ?? {};
      settle?.({ kind: "responds", response: incoming });
      return;
    }
    void readErrorMessage(incoming).then((errorMessage) => finish({ kind: "failed", errorMessage }));
  });
  // A frozen process keeps its connections, and a response may last as long as the function.
  Object.assign(server, { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const temporaryFolder = join(options.codeFolder, `../tmp-${process.pid}-${environmentCount++}`);
  mkdirSync(temporaryFolder, { recursive: true });
  const child = startProcess(options, temporaryFolder, `127.0.0.1:${port}`);
  const keep = (bytes: Buffer) => {
    onLog(bytes.toString());
    recordOutput(bytes.toString(), "functions");
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  void ended.then(() => {
    finish({ kind: "failed", errorMessage: "Runtime exited" });
    server.close();
    server.closeAllConnections();
    rmSync(temporaryFolder, { recursive: true, force: true });
    onEnd();
  });

  /** The response of an invocation may have begun: then this says only that the environment is done with it. */
  function finish(outcome: Outcome): void {
    for (const timer of running?.timers ?? []) clearTimeout(timer);
    running?.settle(outcome);
    running = undefined;
  }

  function kill(reason: string): void {
    onLog(`${reason}\n`);
    child.kill("SIGKILL");
  }

  function watches(): NodeJS.Timeout[] {
    const { timeoutMs, memoryMib } = definition;
    const onTimeout = () => kill(`Task timed out after ${timeoutMs / 1000} seconds`);
    const onMemory = () => {
      if (residentBytes(child.pid) > memoryMib * MEBIBYTE)
        kill(`Runtime exited with error: signal: killed (more than ${memoryMib} MiB)`);
    };
    return [setTimeout(onTimeout, timeoutMs), setInterval(onMemory, MEMORY_CHECK_MS)];
  }

  return {
    invoke(event) {
      const outgoing = waiting;
      if (outgoing === undefined) throw new Error("the environment is not ready");
      waiting = undefined;
      child.kill("SIGCONT");
      const id = randomUUID();
      return new Promise((settle) => {
        running = { id, settle, timers: watches() };
        outgoing.writeHead(200, {
          "content-type": "application/json",
          "lambda-runtime-aws-request-id": id,
          "lambda-runtime-deadline-ms": String(Date.now() + definition.timeoutMs),
          "lambda-runtime-invoked-function-arn": `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${definition.id}`,
          "lambda-runtime-trace-id": "Root=1-00000000-000000000000000000000000",
        });
        outgoing.end(JSON.stringify(event));
      });
    },
    async end() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** It ends with the test's process. No file of it may be larger than its temporary storage. */
function startProcess(
  { runtimeClient, codeFolder, definition }: EnvironmentOptions,
  temporaryFolder: string,
  runtimeApi: string,
): ChildProcess {
  const { id, memoryMib, temporaryStorageMib, environment } = definition;
  const { PATH = "" } = process.env;
  const limits = ["--pdeathsig", "KILL", "prlimit", `--fsize=${temporaryStorageMib * MEBIBYTE}`];
  const heap = `--max-old-space-size=${Math.floor(memoryMib * HEAP_SHARE)}`;
  return spawn("setpriv", [...limits, NODE, heap, runtimeClient], {
    env: {
      PATH,
      TMPDIR: temporaryFolder,
      AWS_LAMBDA_RUNTIME_API: runtimeApi,
      LAMBDA_TASK_ROOT: codeFolder,
      _HANDLER: "index.handler",
      AWS_LAMBDA_FUNCTION_NAME: id,
      AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMib),
      AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${id}`,
      AWS_LAMBDA_LOG_STREAM_NAME: temporaryFolder,
      AWS_REGION: REGION,
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function residentBytes(pid: number | undefined): number {
  try {
    const [, pages] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
    return Number(pages) * PAGE_BYTES;
  } catch {
    return 0; // It has ended.
  }
}

async function readErrorMessage(incoming: IncomingMessage): Promise<string> {
  try {
    const { errorMessage } = (await json(incoming)) as { errorMessage?: unknown };
    return String(errorMessage);
  } catch {
    return "Runtime exited"; // The process ended while it said so.
  }
}
