/** What a pack from outside may demand of the thread that indexes it. */

const MIB = 2 ** 20;
const GIB = 2 ** 30;

export type PackLimits = Readonly<typeof DEFAULT_PACK_LIMITS>;

export const DEFAULT_PACK_LIMITS = {
  /** The tables take about 40 bytes an object; ten times the objects of the largest repositories of 4 GB. */
  maxObjectCount: 2 ** 25,
  /** Bitbucket refuses repositories above 4 GB; larger single objects are bombs. */
  maxObjectBytes: 4 * GIB,
  /** A delta, its base and its result are held whole; git writes no deltas above core.bigFileThreshold, 512 MiB. */
  maxDeltifiedBytes: 512 * MIB,
  /** git writes at most 4,095; a chain is walked for each object read. */
  maxDeltaDepth: 4095,
  /**
   * Delta instructions can blow up a few bytes to 16 MB, again and again. A thread hashes some 1.5 GiB a second, so this
   * takes it three minutes, of the fifteen that a sync has on Lambda; for 4 GB of pack it is a factor of 64.
   */
  maxTotalInflatedBytes: 256 * GIB,
};
