/** What was asked and answered so far. */

export interface Totals {
  requests: number;
  compactions: number;
  packs: number;
  /** Packs that were answered from the recent objects alone. */
  recentPacks: number;
  gitObjects: number;
  mirrorObjects: number;
  gitBytes: number;
  mirrorBytes: number;
}

export function newTotals(): Totals {
  return {
    requests: 0,
    compactions: 0,
    packs: 0,
    recentPacks: 0,
    gitObjects: 0,
    mirrorObjects: 0,
    gitBytes: 0,
    mirrorBytes: 0,
  };
}
