/** Ends a stream when it is told to, also one that has fallen silent. */
import { assertNotStopped } from "../errors.ts";

/** @throws {StoppedError} The signal has aborted. */
export async function* untilStopped<Item>(
  items: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item, void, undefined> {
  if (signal === undefined) {
    yield* items;
    return;
  }
  const iterator = items[Symbol.asyncIterator]();
  // One listener and a promise for each step: a promise that lives as long as the signal would keep every item alive.
  let abandonStep: () => void = () => undefined;
  const onAbort = (): void => abandonStep();
  signal.addEventListener("abort", onAbort, { once: true });
  let isDone = false;
  try {
    for (;;) {
      assertNotStopped(signal);
      const result = await new Promise<IteratorResult<Item> | "stopped">((resolve, reject) => {
        abandonStep = () => resolve("stopped");
        iterator.next().then(resolve, reject);
      });
      assertNotStopped(signal);
      if (result === "stopped") return;
      if (result.done) {
        isDone = true;
        return;
      }
      yield result.value;
    }
  } catch (error) {
    isDone = !signal.aborted;
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    const closing = isDone ? undefined : iterator.return?.();
    // A silent stream ends only when its own signal aborts: not waited for.
    if (signal.aborted) closing?.catch(() => undefined);
    else await closing;
  }
}
