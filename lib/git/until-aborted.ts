/** Ends a stream when a signal aborts, even one that no longer yields anything. */
import { assertNotStopped } from "../errors.ts";

/**
 * Yields what `input` yields.
 * @throws {StoppedError} At once when the signal aborts; its `cause` is the signal's reason. `input` is asked to end, and is not
 *   waited for.
 */
export async function* untilAborted<Item>(
  input: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item, void> {
  if (signal === undefined) {
    yield* input;
    return;
  }
  const items = input[Symbol.asyncIterator]();
  // One listener and a promise for each step: a promise that lives as long as the signal would keep every item alive.
  let abandonStep: () => void = () => undefined;
  const onAbort = (): void => abandonStep();
  signal.addEventListener("abort", onAbort);
  let isWaiting = false;
  try {
    for (;;) {
      assertNotStopped(signal);
      isWaiting = true;
      const step = await new Promise<IteratorResult<Item> | "aborted">((resolve, reject) => {
        abandonStep = () => resolve("aborted");
        items.next().then(resolve, reject);
      });
      // A result that came together with the abort is not handed on.
      assertNotStopped(signal);
      isWaiting = false;
      if (step === "aborted" || step.done) return;
      yield step.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    const ending = items.return?.();
    if (isWaiting || signal.aborted) ending?.catch(() => undefined);
    else await ending;
  }
}
