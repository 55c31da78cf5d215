/** What surrounds the data of every JSON answer to a caller: of the API, and of `--json`. */

/** Raised when a field is removed or gets another meaning; new fields do not. */
export const ENVELOPE_VERSION = 1;

export interface JsonEnvelope<Data> {
  /** `nearside.<name>`: what `data` is. */
  readonly schema: string;
  readonly version: number;
  /** When it was made; ISO 8601. */
  readonly timestamp: string;
  readonly data: Data;
}

export function jsonEnvelope<Data>(name: string, data: Data, nowMs: number): JsonEnvelope<Data> {
  return {
    schema: `nearside.${name}`,
    version: ENVELOPE_VERSION,
    timestamp: new Date(nowMs).toISOString(),
    data,
  };
}
