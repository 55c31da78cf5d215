import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { SharedRead, SharedValue } from "../../../lib/store/shared-read.ts";

const LEFT = new Error("the client has left");

/** A read that ends when the test says so. */
function pendingRead() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const read = (signal: AbortSignal): Promise<string> => {
    signals.push(signal);
    return promise;
  };
  return { read, signals, resolve, reject };
}

test("one reader's abort ends its own wait, not the read", async () => {
  const { read, signals, resolve } = pendingRead();
  const shared = new SharedRead(read);
  const controller = new AbortController();
  const first = shared.join(controller.signal);
  const second = shared.join(new AbortController().signal);
  controller.abort(LEFT);
  await expect(first).rejects.toBe(LEFT);
  expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  resolve("read");
  expect(await second).toBe("read");
});

test("the last reader's abort ends the read", async () => {
  const { read, signals } = pendingRead();
  const shared = new SharedRead(read);
  const controllers = [new AbortController(), new AbortController()];
  const waits = controllers.map(({ signal }) => shared.join(signal));
  for (const controller of controllers) controller.abort(LEFT);
  for (const wait of waits) await expect(wait).rejects.toBe(LEFT);
  expect(signals[0]?.aborted).toBe(true);
  expect(shared.hasFailed).toBe(true);
});

test("a reader without a signal keeps the read going", async () => {
  const { read, signals, resolve } = pendingRead();
  const shared = new SharedRead(read);
  const controller = new AbortController();
  const leaving = shared.join(controller.signal);
  const staying = shared.join();
  controller.abort(LEFT);
  await expect(leaving).rejects.toBe(LEFT);
  expect(signals[0]?.aborted).toBe(false);
  resolve("read");
  expect(await staying).toBe("read");
});

test("no listener is left on a signal whose read is done", async () => {
  const { signal } = new AbortController();
  const shared = new SharedRead(async () => "read");
  await Promise.all(Array.from({ length: 5 }, () => shared.join(signal)));
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("a value is read once, and again after a failure or when its only reader has left", async () => {
  const outcomes = [pendingRead(), pendingRead(), pendingRead()];
  let readCount = 0;
  const value = new SharedValue<string>((signal) => {
    const outcome = outcomes[readCount++];
    if (outcome === undefined) throw new Error("too many reads");
    return outcome.read(signal);
  });
  const controller = new AbortController();
  const left = value.get(controller.signal);
  controller.abort(LEFT);
  await expect(left).rejects.toBe(LEFT);
  const failed = value.get();
  outcomes[1]?.reject(new Error("broken"));
  await expect(failed).rejects.toThrow("broken");
  const read = value.get(new AbortController().signal);
  outcomes[2]?.resolve("read");
  expect(await read).toBe("read");
  expect(await value.get()).toBe("read");
  expect(readCount).toBe(3);
});
