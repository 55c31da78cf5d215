/**
 * What working out a history may take. A few bytes can name the same large tree in every commit, so neither the pack's
 * size nor its number of objects bounds the work. A pack that would take more gets no history: it is served by walking.
 */

export type HistoryLimits = Readonly<typeof DEFAULT_HISTORY_LIMITS>;

export const DEFAULT_HISTORY_LIMITS = {
  /** Of trees, each counted as often as it is compared. 128 GiB take some minutes; git's own history takes 7 GiB. */
  maxComparedBytes: 128 * 2 ** 30,
  /** Of a tree and its parents' trees, which are held together: a commit may have any number of parents. */
  maxHeldBytes: 256 * 2 ** 20,
  /** Objects introduced by the commits that are worked out together, 8 bytes each. */
  maxIntroducedAtOnce: 2 ** 22,
  /** By all commits of a pack, 4 bytes each. git's own history has 0.4 million for 0.4 million objects. */
  maxIntroduced: 2 ** 25,
  /**
   * Differences between trees, likewise: 8 bytes each while they are worked out together, and 4 in the sidecar. git's own
   * history has 0.8 million. Trees beyond them have to be read when they are needed.
   */
  maxTreeChangesAtOnce: 2 ** 22,
  maxTreeChanges: 2 ** 25,
};
