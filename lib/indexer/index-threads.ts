/** Threads that run indexing tasks, or this thread alone where a pack is too small to be worth a start. */
import { Worker } from "node:worker_threads";
import {
  type IndexResultOf,
  type IndexTaskName,
  type IndexTaskOf,
  type IndexTaskOptions,
  IndexTasks,
} from "./index-tasks.ts";
import { type DescribedError, revivedError } from "./worker-error.ts";

export type WorkerReply =
  | { readonly ok: true; readonly result: object | undefined }
  | { readonly ok: false; readonly error: DescribedError };

/** A thread's first message. */
export const THREAD_IS_READY = "ready";

/** Runs one task at a time. */
export interface IndexThread {
  run<Name extends IndexTaskName>(name: Name, ...task: IndexTaskOf<Name>): Promise<IndexResultOf<Name>>;
  /** A task that runs fails, and each later one. */
  close(): Promise<void>;
}

/** @param threadCount - 0 for this thread, which then blocks while a task runs. */
export function startIndexThreads(threadCount: number, options: IndexTaskOptions): IndexThread[] {
  if (threadCount === 0) return [inThisThread(options)];
  return Array.from({ length: threadCount }, () => inWorkerThread(options));
}

function inThisThread(options: IndexTaskOptions): IndexThread {
  const tasks = new IndexTasks(options);
  return {
    run: async (name, ...task) => runTask(tasks, name, task),
    close: async () => {},
  };
}

function inWorkerThread(options: IndexTaskOptions): IndexThread {
  // Bundles keep the two files side by side, so the name holds there as well, with the ending of the file it stands in.
  const ending = import.meta.url.endsWith(".ts") ? "ts" : "mjs";
  const worker = new Worker(new URL(`./index-worker.${ending}`, import.meta.url), {
    workerData: options,
    // Little lives on the heap here; without a limit its garbage takes more room than all else.
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  // Before, it may be making its inflater; Node aborts the whole process if a thread is ended in the middle of that.
  const isReady = new Promise<void>((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("indexing thread has not begun")));
  });
  isReady.catch(() => undefined); // thrown to callers of `run`
  let isClosed = false;
  return {
    run: async (name, ...task) => {
      await isReady;
      // What is sent to a thread that has ended is never answered.
      if (isClosed) throw new Error("indexing thread has ended");
      return runIn(worker, name, task);
    },
    close: async () => {
      isClosed = true;
      await isReady.catch(() => undefined);
      await worker.terminate();
    },
  };
}

/** What a thread is sent. */
export interface TaskMessage {
  readonly name: IndexTaskName;
  readonly task: readonly unknown[];
}

export function runTask<Name extends IndexTaskName>(
  tasks: IndexTasks,
  name: Name,
  task: readonly unknown[],
): IndexResultOf<Name> {
  const method = tasks[name] as (...task: unknown[]) => IndexResultOf<Name>;
  return method.call(tasks, ...task);
}

function runIn<Name extends IndexTaskName>(
  worker: Worker,
  name: Name,
  task: IndexTaskOf<Name>,
): Promise<IndexResultOf<Name>> {
  return new Promise((resolve, reject) => {
    const settle = (reply: WorkerReply): void => {
      worker.off("error", reject);
      worker.off("exit", onExit);
      if (reply.ok) resolve(reply.result as IndexResultOf<Name>);
      else reject(revivedError(reply.error));
    };
    const onExit = (exitCode: number): void =>
      reject(new Error(`indexing thread ended with code ${exitCode}`));
    worker.once("message", settle);
    worker.once("error", reject);
    worker.once("exit", onExit);
    worker.postMessage({ name, task } satisfies TaskMessage);
  });
}
