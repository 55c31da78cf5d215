/** Random commits: lines of work that fork, merge, cross and start anew, with clocks that may be wrong. */
import type { ObjectWriter } from "./object-writer.ts";
import type { Random } from "./random.ts";
import { EMPTY_FOLDER, type Folder, FolderMaker } from "./random-folder.ts";

export interface Commit {
  readonly id: string;
  readonly folder: Folder;
  readonly seconds: number;
}

const FIRST_SECONDS = 1_600_000_000;
const DAY_SECONDS = 86_400;

export class RandomHistory {
  readonly commits: Commit[] = [];
  readonly #random: Random;
  readonly #writer: ObjectWriter;
  readonly #folders: FolderMaker;
  readonly #lyingClocks: number;
  #seconds = FIRST_SECONDS;

  constructor(random: Random, writer: ObjectWriter) {
    this.#random = random;
    this.#writer = writer;
    this.#folders = new FolderMaker(random, writer);
    this.#lyingClocks = random.pick([0, 0, 0.1, 0.5]);
  }

  /** Goes on from `tips`: what comes of it are new tips, in any number. */
  grow(tips: readonly Commit[]): Commit[] {
    const random = this.#random;
    const roll = random.below(100);
    if (roll < 2 || this.commits.length === 0) return [this.#commit([], this.#folders.change(EMPTY_FOLDER))];
    if (roll < 15 && tips.length > 1) return [this.#merge(random.sample(tips, 2))];
    if (roll < 17 && tips.length > 2) return [this.#merge(random.sample(tips, random.between(3, 6)))];
    if (roll < 21 && tips.length > 1) return this.#crissCross(random.sample(tips, 2));
    const parent =
      roll < 29 ? random.pick(this.commits) : random.pickLate(tips.length > 0 ? tips : this.commits);
    if (roll < 33) return [this.#commit([parent], random.pick(this.commits).folder)];
    return [this.#commit([parent], this.#folders.change(parent.folder))];
  }

  #merge(parents: readonly Commit[]): Commit {
    return this.#commit(parents, this.#folders.merge(parents.map(({ folder }) => folder)));
  }

  #crissCross([left, right]: readonly Commit[]): Commit[] {
    if (left === undefined || right === undefined) return [];
    return [this.#merge([left, right]), this.#merge([right, left])];
  }

  #commit(parents: readonly Commit[], folder: Folder): Commit {
    const seconds = this.#clock();
    const lines = [
      `tree ${this.#folders.write(folder)}`,
      ...parents.map(({ id }) => `parent ${id}`),
      `author Ada Author <ada@example.com> ${seconds} +0100`,
      `committer Carl Committer <carl@example.com> ${seconds} +0000`,
      "",
      `Commit ${this.commits.length}`,
      "",
    ];
    const commit = { id: this.#writer.add("commit", lines.join("\n")), folder, seconds };
    this.commits.push(commit);
    return commit;
  }

  #clock(): number {
    const random = this.#random;
    this.#seconds += random.below(DAY_SECONDS);
    if (!random.chance(this.#lyingClocks)) return this.#seconds;
    return this.#seconds + random.between(-400, 400) * DAY_SECONDS;
  }
}
