/** States and sizes as people read them. */
import type { ApiRepository } from "./api-schemas.ts";

export interface StateWords {
  readonly text: string;
  readonly kind: "good" | "waiting" | "bad";
}

export function stateWords(state: ApiRepository["state"]): StateWords {
  return STATES[state];
}

const STATES: Readonly<Record<ApiRepository["state"], StateWords>> = {
  AVAILABLE: { text: "Available", kind: "good" },
  INITIALIZING: { text: "First copy in progress", kind: "waiting" },
  NOT_MIRRORED: { text: "Waiting for its first copy", kind: "waiting" },
  ERROR_AVAILABLE: { text: "Available, last sync failed", kind: "bad" },
  ERROR_INITIALIZING: { text: "First copy failed", kind: "bad" },
};

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Powers of 1,000, as Bitbucket shows sizes. */
export function formatBytes(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1000 && unit < BYTE_UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${BYTE_UNITS[unit]}`;
}
