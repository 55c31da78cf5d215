import { expect, test } from "vitest";
import { jsonLogger } from "../../lib/log-json.ts";
import { pinoLogger } from "../../lib/log-pino.ts";

test("lines are as pino's: JSON objects with time, level, event and fields, from a level on", () => {
  const lines: string[] = [];
  const pinoLines: string[] = [];
  for (const log of [
    jsonLogger("info", { write: (line) => lines.push(line) }),
    pinoLogger("info", { write: (line) => pinoLines.push(line) }),
  ]) {
    log.debug("sync:looked");
    log.info("sync:published", { generation: 3 });
    log.error("http:failed");
  }
  const shape = (line: string): unknown => ({ ...JSON.parse(line), time: "now" });
  expect(lines.map(shape)).toEqual(pinoLines.map(shape));
  expect(lines.every((line) => line.endsWith("}\n"))).toBe(true);
  expect(Object.keys(JSON.parse(lines[0] ?? "{}"))).toEqual(["level", "time", "generation", "event"]);
});

test("an error and a large number are text, and no line fails", () => {
  const lines: string[] = [];
  const log = jsonLogger("warn", { write: (line) => lines.push(line) });
  log.warn("http:failed", { cause: new RangeError("too far"), bytes: 2n ** 60n });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    cause: expect.stringContaining("RangeError: too far"),
    bytes: String(2n ** 60n),
  });
});
