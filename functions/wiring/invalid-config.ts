/** What a process reports when `config.json` was changed and is not valid. */
import { type ConfigError, errorFields } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";

export function logInvalidConfig(log: Logger): (error: ConfigError) => void {
  return (error) =>
    log.error("config:invalid", { effect: "the last valid one stays in use", ...errorFields(error) });
}

export function logFailedConfigCopy(log: Logger): (error: unknown) => void {
  return (error) => log.warn("config:copy-failed", errorFields(error));
}
