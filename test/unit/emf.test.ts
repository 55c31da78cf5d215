import { expect, test } from "vitest";
import { EmfMetrics } from "../../lib/emf.ts";
import { jsonLogger } from "../../lib/log-json.ts";

function logged({ hasDetail = false, level = "info" as "info" | "error" } = {}) {
  const lines: string[] = [];
  const metrics = new EmfMetrics({ namespace: "Acme", hasDetail });
  const log = jsonLogger(level, { metrics, write: (line) => lines.push(line) });
  return { metrics, log, parsed: () => lines.map((line) => JSON.parse(line)) };
}

test("a measurement is written beside the line's fields, whatever the level", () => {
  const { log, parsed } = logged({ level: "error" });
  log.info("access:decided", { repo: "acme/sample" });
  log.info("git-http:answered", { path: "/acme/sample.git" }, { Clones: 1, SentBytes: 12 });
  expect(parsed()).toEqual([
    {
      level: "info",
      time: expect.any(String),
      path: "/acme/sample.git",
      Clones: 1,
      SentBytes: 12,
      _aws: {
        Timestamp: expect.any(Number),
        CloudWatchMetrics: [
          {
            Namespace: "Acme",
            Dimensions: [[]],
            Metrics: [
              { Name: "Clones", Unit: "Count" },
              { Name: "SentBytes", Unit: "Bytes" },
            ],
          },
        ],
      },
      event: "git-http:answered",
    },
  ]);
});

test.each([
  [false, ["Clones"]],
  [true, ["Clones", "PacksPlanned"]],
])("with hasDetail %s, details are metrics or fields only", (hasDetail, names) => {
  const { log, parsed } = logged({ hasDetail });
  log.info("git-http:answered", {}, { Clones: 1, PacksPlanned: 1 });
  const [line] = parsed();
  expect(line.PacksPlanned).toBe(1);
  expect(line._aws.CloudWatchMetrics[0].Metrics.map(({ Name }: { Name: string }) => Name)).toEqual(names);
});

test("what was counted without a line goes out with the next measurement, once", () => {
  const { metrics, log, parsed } = logged();
  for (let count = 0; count < 3; count++) metrics.add("StoreReads", 1);
  log.info("sync:unchanged");
  log.info("sync:published", {}, { Syncs: 1 });
  log.info("sync:published", {}, { Syncs: 1 });
  expect(parsed().map((line) => line.StoreReads)).toEqual([undefined, 3, undefined]);
});
