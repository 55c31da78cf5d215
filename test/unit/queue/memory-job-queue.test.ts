import { expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { MemoryJobQueue } from "../../../lib/queue/memory-job-queue.ts";

const message = (groupId: string, dedupId: string) => ({ groupId, dedupId, body: dedupId });

test("a queue that is closed while jobs of one group wait is idle once the running one ends", async () => {
  const begun: string[] = [];
  const started = Promise.withResolvers<void>();
  const queue = new MemoryJobQueue({
    log: SILENT_LOGGER,
    run: async (body, signal) => {
      begun.push(body);
      started.resolve();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  await queue.send([message("one", "1"), message("one", "2"), message("two", "3")]);
  await started.promise;
  await queue.close();
  await queue.send([message("three", "4")]);
  await queue.idle();
  expect(begun).toEqual(["1"]);
});
