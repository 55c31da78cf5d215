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
  const { promise: stopped, resolve: stop } = Promise.withResolvers<"stopped">();
  const onAbort = (): void => stop("stopped");
  signal.addEventListener("abort", onAbort, { once: true });
  let isDone = false;
  try {
    for (;;) {
      assertNotStopped(signal);
      const next = iterator.next();
      next.catch(() => undefined); // it may fail after the stop, when nobody waits for it any more
      const result = await Promise.race([next, stopped]);
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
