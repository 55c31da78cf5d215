import { afterEach, beforeEach, expect, test } from "vitest";
import { cloudWatchHistory } from "../../../functions/wiring/cloudwatch-history.ts";
import { AwsRequests } from "../../../lib/aws/aws-requests.ts";
import { type MetricServer, startMetricServer } from "../../support/aws-front/metric-server.ts";

const SLOT_MS = 15 * 60_000;
const QUEUE_URLS = { sync: "https://sqs.eu-west-1.amazonaws.com/1/sync.fifo", lfs: "https://sqs/1/lfs.fifo" };

let server: MetricServer;
let nowMs: number;
beforeEach(async () => {
  server = await startMetricServer();
  nowMs = 1_000 * SLOT_MS + 60_000;
});
afterEach(() => server.close());

function historyOf(hasDetail: boolean) {
  const requests = new AwsRequests({
    region: "eu-west-1",
    credentials: { accessKeyId: "key", secretAccessKey: "secret" },
    endpoints: { monitoring: server.endpoint },
  });
  const options = { requests, namespace: "Nearside", hasDetail, queueUrls: QUEUE_URLS, now: () => nowMs };
  return cloudWatchHistory(options);
}

test("charts are the last day's values, asked for once in five minutes", async () => {
  server.values.set("Nearside/SentBytes", 7);
  server.values.set("AWS/SQS/ApproximateNumberOfMessagesVisible/lfs.fifo", 2);
  const read = historyOf(true);
  const history = await read();
  expect(history).toMatchObject({ slotMs: SLOT_MS, slotCount: 96, lastSlotAtMs: 1_000 * SLOT_MS });
  expect(history.valuesOf("SentBytes")).toEqual([...new Array<number>(95).fill(0), 7]);
  expect(history.valuesOf("LfsQueueLength")?.at(-1)).toBe(2);
  expect(history.valuesOf("JobFailures")).toEqual(new Array<number>(96).fill(0));
  nowMs += 4 * 60_000;
  expect(await read()).toBe(history);
  nowMs += 60_000;
  server.values.set("Nearside/SentBytes", 8);
  expect((await read()).valuesOf("SentBytes")?.at(-1)).toBe(8);
  expect(server.asked).toHaveLength(2);
});

test("what the deployment does not record costs no question, and is no chart", async () => {
  const history = await historyOf(false)();
  expect(history.valuesOf("PacksPlanned")).toBeUndefined();
  expect(history.valuesOf("SentBytes")).toHaveLength(96);
  const names = server.asked[0]?.join() ?? "";
  expect(names).toContain("Nearside/SyncLagSeconds");
  expect(names).toContain("sync.fifo");
  expect(names).not.toContain("Packs");
});

test("a failure is an error for half a minute, in which each view costs no question", async () => {
  server.isDenied = true;
  const read = historyOf(false);
  const denied = 'CloudWatch answers 400: {"__type":"AccessDeniedException"';
  await Promise.all([1, 2, 3].map(() => expect(read()).rejects.toThrow(denied)));
  server.isDenied = false;
  nowMs += 29_000;
  await expect(read()).rejects.toThrow(denied);
  expect(server.asked).toHaveLength(1);
  nowMs += 1_000;
  expect((await read()).slotCount).toBe(96);
  expect(server.asked).toHaveLength(2);
});

test("views at the same time share a question", async () => {
  const read = historyOf(false);
  const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => read()));
  expect(new Set(others)).toEqual(new Set([first]));
  expect(server.asked).toHaveLength(1);
});

test("an answer in pages is read to its end, and not without limit", async () => {
  server.values.set("Nearside/SentBytes", 7);
  server.values.set("Nearside/JobFailures", 3);
  server.pages = 3;
  const history = await historyOf(true)();
  expect([history.valuesOf("SentBytes")?.at(-1), history.valuesOf("JobFailures")?.at(-1)]).toEqual([7, 3]);
  expect(server.asked).toHaveLength(3);
  server.pages = 11;
  await expect(historyOf(true)()).rejects.toThrow("more than 10 pages");
});

test.each(["InternalError", "Forbidden", "PartialData"])(
  "a result that is %s is no chart of zeros",
  async (code) => {
    server.statusCode = code;
    await expect(historyOf(false)()).rejects.toThrow(`CloudWatch answers ${code} for `);
  },
);
