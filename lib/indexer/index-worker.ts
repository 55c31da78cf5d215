/** Runs indexing tasks in a worker thread: one message in, one message out. */
import { parentPort, workerData } from "node:worker_threads";
import { type IndexTaskOptions, IndexTasks } from "./index-tasks.ts";
import { runTask, type TaskMessage, THREAD_IS_READY, type WorkerReply } from "./index-threads.ts";
import { describeError } from "./worker-error.ts";

const tasks = new IndexTasks(workerData as IndexTaskOptions);
const port = parentPort;
if (port === null) throw new Error("index-worker.ts runs in a worker thread only");

port.postMessage(THREAD_IS_READY);
port.on("message", ({ name, task }: TaskMessage) => {
  let reply: WorkerReply;
  let moved: ArrayBuffer[] = [];
  try {
    const result = runTask(tasks, name, task);
    reply = { ok: true, result };
    moved = buffersOf(result);
  } catch (error) {
    reply = { ok: false, error: describeError(error) };
  }
  port.postMessage(reply, moved);
});

/** Moved instead of copied: they are most of what a thread holds. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer ? [value.buffer] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(buffersOf) : [];
}
