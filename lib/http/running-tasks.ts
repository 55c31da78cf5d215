/** What tasks that run use, of each caller, of each group and in all, and whether a further one may run beside them. */

export interface RunningLimits {
  /** Tasks, or what they weigh together. One that weighs more runs when no other does. */
  readonly maxRunning: number;
  /**
   * A part of `maxRunning` for tasks of at most `maxWeight` whose caller has none that runs, and for further ones of a caller that
   * uses at most `maxWeightOfMore` with them. They take it when the rest is used up; for the rest all callers take turns alike, so ever
   * new callers do not keep out one that has a task that runs.
   */
  readonly reserve?: {
    readonly weight: number;
    readonly maxWeight: number;
    readonly maxWeightOfMore?: number;
  };
  readonly maxRunningOfCaller: number;
  /**
   * The limit of a caller, as a share of what is free: the more others use, the lower it is, so a new caller always finds some free.
   * The first task of a caller may use all that is free.
   */
  readonly shareOfFree?: number;
  /** While it returns true, only tasks that may use the reserve begin beside others. */
  readonly isShort?: () => boolean;
}

/** Beside its caller, to whom a task counts: it runs only while each of them is within its limit. */
export interface TaskGroup {
  readonly key: string;
  readonly maxRunning: number;
  readonly shareOfFree?: number;
  /** For tasks that may use the reserve. Default: the same. */
  readonly shareOfFreeWithReserve?: number;
}

export interface TaskOfCaller {
  readonly caller: string;
  readonly weight: number;
  readonly groups: readonly TaskGroup[];
}

/** Of a task that runs. */
export interface TaskPlace {
  readonly task: TaskOfCaller;
  /** Now; the task's own is what it began with. */
  weight: number;
  readonly isReserved: boolean;
}

export class RunningTasks {
  readonly #limits: RunningLimits;
  readonly #ofCaller = new Map<string, number>();
  readonly #ofGroup = new Map<string, number>();
  #running = 0;
  /** Of them, in the reserve. */
  #reserved = 0;

  constructor(limits: RunningLimits) {
    this.#limits = limits;
  }

  /** Those with tasks that run. */
  get callers(): Iterable<string> {
    return this.#ofCaller.keys();
  }

  /** @returns `undefined`: the task has to wait. */
  take(task: TaskOfCaller): TaskPlace | undefined {
    if (this.limitedKey(task) !== undefined) return undefined;
    const mayUseReserve = this.#mayUseReserve(task);
    if (this.#running > 0 && this.#isShort && !mayUseReserve) return undefined;
    const isReserved = this.#running > 0 && this.#lackingOfRest(task) > 0;
    if (isReserved && (!mayUseReserve || this.#lackingOfReserve(task) > 0)) return undefined;
    const place: TaskPlace = { task, weight: 0, isReserved };
    this.resize(place, task.weight);
    return place;
  }

  /** What others have to give up before the task may run, if its caller and its groups are within their limits. */
  lacking(task: TaskOfCaller): number {
    const ofRest = this.#lackingOfRest(task);
    const lacking = this.#mayUseReserve(task) ? Math.min(ofRest, this.#lackingOfReserve(task)) : ofRest;
    return Math.max(lacking, this.#isShort ? task.weight : 0);
  }

  /** @returns The caller or the group of the task that has reached its own limit. */
  limitedKey(task: TaskOfCaller): string | undefined {
    const { caller, weight, groups } = task;
    const { maxRunning, maxRunningOfCaller, shareOfFree } = this.#limits;
    const free = maxRunning - this.#running;
    const ofCaller = this.#ofCaller.get(caller) ?? 0;
    const mayUseReserve = this.#mayUseReserve(task);
    const ofFree = mayUseReserve ? maxRunningOfCaller : shareOf(free, shareOfFree);
    if (ofCaller > 0 && ofCaller + weight > Math.min(maxRunningOfCaller, ofFree)) return caller;
    return groups.find(({ key, ...group }) => {
      const ofGroup = this.#ofGroup.get(key) ?? 0;
      const share = (mayUseReserve && group.shareOfFreeWithReserve) || group.shareOfFree;
      return ofGroup > 0 && ofGroup + weight > Math.min(group.maxRunning, shareOf(free, share));
    })?.key;
  }

  /** More than before is counted, not refused. 0: it has ended. */
  resize(place: TaskPlace, weight: number): void {
    const added = weight - place.weight;
    place.weight = weight;
    this.#running += added;
    if (place.isReserved) this.#reserved += added;
    add(this.#ofCaller, place.task.caller, added);
    for (const { key } of place.task.groups) add(this.#ofGroup, key, added);
  }

  get #isShort(): boolean {
    return this.#limits.isShort?.() === true;
  }

  #lackingOfRest({ weight }: TaskOfCaller): number {
    const { maxRunning, reserve } = this.#limits;
    return weight + this.#running - this.#reserved - (maxRunning - (reserve?.weight ?? 0));
  }

  /** A task takes no more of it than it leaves: large ones leave room to small ones. */
  #lackingOfReserve({ weight }: TaskOfCaller): number {
    const { maxRunning, reserve } = this.#limits;
    return weight + Math.max(weight + this.#reserved - (reserve?.weight ?? 0), this.#running - maxRunning);
  }

  #mayUseReserve({ caller, weight }: TaskOfCaller): boolean {
    const { maxWeight = 0, maxWeightOfMore = 0 } = this.#limits.reserve ?? {};
    const ofCaller = this.#ofCaller.get(caller) ?? 0;
    return ofCaller === 0 ? weight <= maxWeight : ofCaller + weight <= maxWeightOfMore;
  }
}

function shareOf(free: number, share: number | undefined): number {
  return share === undefined ? Number.POSITIVE_INFINITY : free * share;
}

function add(counts: Map<string, number>, key: string, added: number): void {
  const count = (counts.get(key) ?? 0) + added;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
