/** What the project's code may log to. The process picks the implementation. */
import type { Measurement } from "./metrics.ts";

/**
 * Event names are kebab case with a scope, `sync:published`. Fields never hold tokens or URLs with userinfo. What a line measures
 * counts whether or not lines of its level are written.
 */
type LogLine = (event: string, fields?: Readonly<Record<string, unknown>>, measured?: Measurement) => void;

export interface Logger {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** Discards everything. */
export const SILENT_LOGGER: Logger = { debug() {}, info() {}, warn() {}, error() {} };
