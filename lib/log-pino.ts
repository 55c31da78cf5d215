/** The Logger of deployed processes: one JSON object a line. */
import { type DestinationStream, pino } from "pino";
import type { Logger } from "./log.ts";
import type { LogLevel } from "./settings.ts";

/**
 * @param destination - Standard output when absent, written synchronously: a Lambda environment may be frozen right
 *   after its response.
 */
export function pinoLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const log = pino(
    {
      level,
      // Not the pid and host name, which mean nothing on Lambda.
      base: null,
      messageKey: "event",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
  return {
    debug: (event, fields) => log.debug(fields ?? {}, event),
    info: (event, fields) => log.info(fields ?? {}, event),
    warn: (event, fields) => log.warn(fields ?? {}, event),
    error: (event, fields) => log.error(fields ?? {}, event),
  };
}
