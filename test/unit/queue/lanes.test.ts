/** Groups that belong together take only a part of a queue's room. */
import { expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { MemoryJobQueue } from "../../../lib/queue/memory-job-queue.ts";
import { receiverOfGroup } from "../../../lib/relay/relay-message.ts";

test("a receiver that hangs leaves room for the others, and its own come one after the other", async () => {
  const begun: string[] = [];
  const hanging: (() => void)[] = [];
  const run = async (body: string): Promise<void> => {
    begun.push(body);
    if (body.startsWith("hangs")) await new Promise<void>((resolve) => hanging.push(resolve));
  };
  const lanes = { of: receiverOfGroup, concurrency: 2 };
  const queue = new MemoryJobQueue({ run, log: SILENT_LOGGER, concurrency: 4, lanes });
  const messages = ["hangs", "answers"].flatMap((receiver) =>
    Array.from({ length: 10 }, (_, index) => ({
      groupId: `${receiver}/${index}`,
      dedupId: `${receiver}-${index}`,
      body: `${receiver} ${index}`,
    })),
  );
  await queue.send(messages);
  await expect.poll(() => begun.filter((body) => body.startsWith("answers"))).toHaveLength(10);
  expect(begun.filter((body) => body.startsWith("hangs"))).toEqual(["hangs 0", "hangs 1"]);
  const letGo = setInterval(() => hanging.shift()?.(), 1);
  await queue.drained();
  clearInterval(letGo);
  expect(begun).toHaveLength(20);
});
