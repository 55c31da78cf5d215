import { expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { coversJob, lastPushMs } from "../../../lib/mirror/sync-job.ts";
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

test("a burst of pushes makes one running and one waiting job, of the last push; what differs stays", async () => {
  const begun: string[] = [];
  const held = Promise.withResolvers<void>();
  const queue = new MemoryJobQueue({
    log: SILENT_LOGGER,
    covers: coversJob,
    run: async (body) => {
      begun.push(body);
      await held.promise;
    },
  });
  const uuid = "0a1b2c3d-0000-4000-8000-000000000001";
  const pushed = (second: number, slug = "site") => {
    const at = new Date(second * 1000).toISOString();
    const facts = { workspace: "acme", slug, isPrivate: true, seenAt: at };
    const job = { kind: "repository", workspace: "acme", uuid, reason: "push", queuedAt: at, facts };
    return { groupId: uuid, dedupId: `${slug} ${second}`, body: JSON.stringify(job) };
  };
  for (let second = 1; second <= 300; second++) await queue.send([pushed(second)]);
  expect(queue.pending().count).toBe(2);
  expect(lastPushMs(queue.bodiesOf(uuid))).toBe(300_000);
  await queue.send([pushed(301, "renamed")]);
  await queue.send([pushed(302, "renamed"), pushed(303)]);
  held.resolve();
  await queue.drained();
  expect(begun).toEqual(
    [pushed(1), pushed(300), pushed(302, "renamed"), pushed(303)].map(({ body }) => body),
  );
  expect(lastPushMs(queue.bodiesOf(uuid))).toBeUndefined();
});
