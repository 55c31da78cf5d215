import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { StoppedError } from "../../../lib/errors.ts";
import { untilAborted } from "../../../lib/git/until-aborted.ts";

test("what it has passed on is not kept: memory does not grow with the stream", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const passed: WeakRef<object>[] = [];
  async function* items(): AsyncGenerator<object> {
    for (let i = 0; i < 100; i++) {
      await setImmediate();
      const item = { number: i };
      passed.push(new WeakRef(item));
      yield item;
    }
  }
  let count = 0;
  let keptCount = 0;
  for await (const _item of untilAborted(items(), new AbortController().signal)) {
    count++;
    if (count < 90) continue;
    await setImmediate();
    collectGarbage();
    keptCount = passed.filter((reference) => reference.deref() !== undefined).length;
    break;
  }
  expect(count).toBe(90);
  expect(keptCount).toBeLessThan(10);
});

test("a silent stream ends when the signal aborts", async () => {
  const stopping = new AbortController();
  async function* silent(): AsyncGenerator<number> {
    yield 1;
    await new Promise(() => undefined);
  }
  const seen: number[] = [];
  const reading = (async () => {
    for await (const item of untilAborted(silent(), stopping.signal)) seen.push(item);
  })();
  await setImmediate();
  stopping.abort();
  await expect(reading).rejects.toThrow(StoppedError);
  expect(seen).toEqual([1]);
});
