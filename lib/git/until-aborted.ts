/** Lets go of an input when a signal says so, also while the input is being waited for. */

/**
 * Yields what `input` yields.
 * @throws The signal's reason, at once when it aborts; `input` is ended, without waiting for what it still does.
 */
export async function* untilAborted<Item>(
  input: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item, void, undefined> {
  if (signal === undefined) {
    yield* input;
    return;
  }
  const items = input[Symbol.asyncIterator]();
  // One listener and a promise for each step: a promise that lives as long as the signal would keep every item alive.
  let abandonStep: (reason: unknown) => void = () => undefined;
  const onAbort = (): void => abandonStep(signal.reason);
  signal.addEventListener("abort", onAbort);
  let isWaiting = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      isWaiting = true;
      const step = await new Promise<IteratorResult<Item>>((resolve, reject) => {
        abandonStep = reject;
        items.next().then(resolve, reject);
      });
      isWaiting = false;
      if (step.done) return;
      yield step.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    const ending = items.return?.();
    if (isWaiting || signal.aborted) ending?.catch(() => undefined);
    else await ending;
  }
}
