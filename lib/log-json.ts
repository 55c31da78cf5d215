/** The Logger of functions that often start cold: lines of the same form as those of lib/log-pino.ts, without its load time. */
import { writeSync } from "node:fs";
import type { EmfMetrics } from "./emf.ts";
import type { Logger } from "./log.ts";
import type { Measurement } from "./metrics.ts";
import type { LogLevel } from "./settings.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;

export interface JsonLoggerOptions {
  /** A line with measurements is written whatever its level. */
  readonly metrics?: EmfMetrics;
  /** Writes a line; by default to standard output, at once: a Lambda environment may be frozen after its response. */
  readonly write?: (line: string) => void;
}

export function jsonLogger(
  level: LogLevel,
  { metrics, write = (line) => void writeSync(1, line) }: JsonLoggerOptions = {},
): Logger {
  const lowest = LEVELS.indexOf(level as (typeof LEVELS)[number]);
  const logAt = (lineLevel: (typeof LEVELS)[number]) => {
    const isLogged = lowest !== -1 && LEVELS.indexOf(lineLevel) >= lowest;
    return (event: string, fields?: Readonly<Record<string, unknown>>, measured?: Measurement): void => {
      const measuredFields = measured && metrics?.fieldsOf(measured);
      if (!isLogged && measuredFields === undefined) return;
      const line = { level: lineLevel, time: new Date().toISOString(), ...fields, ...measuredFields, event };
      write(`${JSON.stringify(line, plainValue)}\n`);
    };
  };
  return { debug: logAt("debug"), info: logAt("info"), warn: logAt("warn"), error: logAt("error") };
}

/** JSON knows no such numbers, and shows nothing of an error. */
function plainValue(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Error ? value.stack : value;
}
