import { expect, test } from "vitest";
import { StoredMessages } from "../../../functions/local/stored-messages.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { KeptDeadLetters } from "../../../lib/queue/kept-messages.ts";
import { MemoryJobQueue } from "../../../lib/queue/memory-job-queue.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

function message(body: string, groupId = "group") {
  return { groupId, dedupId: body, body };
}

function queueOver(store: MemoryBlobStore, run: (body: string) => Promise<void>, keepsWaiting = false) {
  const retries = { maxTries: 1, firstRetrySeconds: 0.01 };
  return new MemoryJobQueue({
    run,
    log: SILENT_LOGGER,
    retries,
    kept: new StoredMessages(store, "sync"),
    keepsWaiting,
  });
}

const refuse = async (): Promise<void> => {
  throw new Error("broken");
};

test("dead letters outlive the process, and are replayed by another, in their order", async () => {
  const store = new MemoryBlobStore();
  const first = queueOver(store, refuse);
  await first.send(["one", "two", "three"].map((body) => message(body)));
  await first.drained();
  await first.close();

  const letters = new KeptDeadLetters(new StoredMessages(store, "sync"));
  expect((await letters.list(2)).map(({ body }) => body)).toEqual(["one", "two"]);
  expect(await letters.replay(2)).toBe(2);

  const runs: string[] = [];
  const second = queueOver(store, async (body) => void runs.push(body));
  await second.takeKept();
  await second.takeKept();
  await second.drained();
  expect(runs).toEqual(["one", "two"]);
  expect((await second.list(10)).map(({ body }) => body)).toEqual(["three"]);
  // Nothing comes again.
  const third = queueOver(store, async (body) => void runs.push(body));
  await third.takeKept();
  await third.drained();
  expect(runs).toEqual(["one", "two"]);
});

test("what is to be kept waits through the end of the process, in its order", async () => {
  const store = new MemoryBlobStore();
  const hanging = queueOver(store, () => new Promise(() => undefined), true);
  await hanging.send(["one", "two"].map((body) => message(body)));

  const runs: string[] = [];
  const next = queueOver(store, async (body) => void runs.push(body), true);
  await next.takeKept();
  // Sent again by one that does not know that it was kept.
  await next.send([message("two"), message("three")]);
  await next.drained();
  expect(runs).toEqual(["one", "two", "three"]);
  expect([...(await Array.fromAsync(store.list("queue/")))]).toEqual([]);
});

test("a message that cannot be kept is not taken", async () => {
  const store = new MemoryBlobStore();
  store.write = async () => {
    throw new Error("the disk is full");
  };
  const runs: string[] = [];
  const queue = queueOver(store, async (body) => void runs.push(body), true);
  await expect(queue.send([message("one")])).rejects.toMatchObject({ code: "QUEUE" });
  await queue.drained();
  expect(runs).toEqual([]);
});
