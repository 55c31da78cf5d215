/** What a receiver that hangs, or fails, holds up: nothing of the others, and of its own no order. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { MemoryJobQueue } from "../../../lib/queue/memory-job-queue.ts";
import {
  GROUPS_PER_RECEIVER,
  parseRelayMessage,
  queueMessageOf,
  relayEventOf,
} from "../../../lib/relay/relay-message.ts";

const FACTS = { workspace: "acme", slug: "app", isPrivate: false, seenAt: "2026-11-01T00:00:00.000Z" };

test("a receiver that hangs leaves room for the others, and its own come four at a time, in order", async () => {
  const begun: { readonly id: string; readonly uuid: string; readonly generation: number }[] = [];
  const of = (receiver: string) => begun.filter(({ id }) => id === receiver);
  const hanging: (() => void)[] = [];
  const run = async (body: string): Promise<void> => {
    const { receiver, event } = parseRelayMessage(body);
    const id = receiver.kind === "webhook" ? receiver.id : receiver.kind;
    begun.push({ id, uuid: event.uuid, generation: event.generation });
    if (id === "hangs") await new Promise<void>((resolve) => hanging.push(resolve));
  };
  const queue = new MemoryJobQueue({ run, log: SILENT_LOGGER, concurrency: 2 * GROUPS_PER_RECEIVER });
  const uuids = Array.from({ length: 40 }, () => randomUUID());
  const messages = ["hangs", "answers"].flatMap((id) =>
    [1, 2].flatMap((generation) =>
      uuids.map((uuid) => {
        const news = {
          uuid,
          facts: FACTS,
          generation,
          refsSha256: "0".repeat(64),
          isFirst: false,
          changes: [],
        };
        return queueMessageOf({ kind: "webhook", id }, relayEventOf(news, new Date()), news.refsSha256);
      }),
    ),
  );
  await queue.send(messages);
  await expect.poll(() => of("answers")).toHaveLength(2 * uuids.length);
  expect(of("hangs")).toHaveLength(GROUPS_PER_RECEIVER);
  const letGo = setInterval(() => hanging.shift()?.(), 1);
  await queue.drained();
  clearInterval(letGo);
  for (const uuid of uuids) {
    for (const id of ["hangs", "answers"]) {
      const generations = of(id).filter((one) => one.uuid === uuid);
      expect(generations.map(({ generation }) => generation)).toEqual([1, 2]);
    }
  }
});
