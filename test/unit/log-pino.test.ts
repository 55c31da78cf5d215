import { expect, test } from "vitest";
import { pinoLogger } from "../../lib/log-pino.ts";

test("a log line is one JSON object with time, level, event and fields", () => {
  const lines: string[] = [];
  const log = pinoLogger("info", { write: (line) => lines.push(line) });
  log.debug("sync:looked");
  log.info("sync:published", { generation: 3 });
  log.error("http:failed");
  expect(lines).toHaveLength(2);
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
    { level: "info", time: expect.any(String), event: "sync:published", generation: 3 },
    { level: "error", time: expect.any(String), event: "http:failed" },
  ]);
});
