/** How often a caller was the reason to look at the primary for what is not there either, within a minute. */

interface MaxInVain {
  /** For one ref or id of a repository: a job that asks for it again and again leaves other looks to other jobs. */
  readonly ofMissing: number;
  /** Of a caller, for what it has asked for in vain already. */
  readonly repeated: number;
  /** Of a caller. Those under way may be in vain: further ones wait for their ends. */
  readonly ofCaller: number;
}

export const MAX_IN_VAIN: MaxInVain = { ofMissing: 2, repeated: 3, ofCaller: 5 };
/** At the wait address, which looks again and again by itself. */
export const MAX_IN_VAIN_OF_WAIT: MaxInVain = { ofMissing: 10, repeated: 15, ofCaller: 20 };
/** Of a caller: more than its looks are about, unless many names share a look. 100 bytes each. */
export const MAX_MISSING_REMEMBERED = 32;

const TRY_LATER = "try again in a minute";

export class LooksInVain {
  /** Those that are under way, and may find nothing. */
  readonly underWay = new Set<Promise<unknown>>();
  readonly #of = new Map<string, number>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** @param asked - What one look was about: a hash of a repository and a ref or id each. */
  note(asked: ReadonlySet<string>): void {
    this.#count += 1;
    for (const about of asked) {
      const before = this.#of.get(about) ?? 0;
      if (before > 0 || this.#of.size < MAX_MISSING_REMEMBERED) this.#of.set(about, before + 1);
    }
  }

  /** @returns Why there is to be no further look for this, and what to do; `undefined`: there may be. */
  limit(about: string, { ofMissing, repeated, ofCaller }: MaxInVain): string | undefined {
    const before = this.#of.get(about) ?? 0;
    if (before >= ofMissing) return `Bitbucket did not have it when asked a moment ago, ${TRY_LATER}`;
    const isNew = before === 0 && this.#of.size < MAX_MISSING_REMEMBERED;
    if (this.#count < (isNew ? ofCaller : repeated)) return undefined;
    return `Bitbucket was not asked, as it lacked others that were asked for with this credential, ${TRY_LATER}`;
  }
}
