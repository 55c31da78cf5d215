/** What the LFS copies of one process may hold together. */
import { ByteBudget } from "../../lib/lfs/byte-budget.ts";

/** Two large files, which hold 40 MiB each, or eight small ones. */
const MAX_HELD_BYTES = 96 * 2 ** 20;
const MAX_TRANSFERS = 8;

export function lfsBudget(): ByteBudget {
  return new ByteBudget(MAX_HELD_BYTES, MAX_TRANSFERS);
}
