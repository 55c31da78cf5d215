/** A primary in memory whose refs are changed by chance, and that remembers each state they were in, by number. */
import type { UpstreamGit, UpstreamRefs } from "../../../lib/bitbucket/upstream-git.ts";
import type { ObjectId } from "../../../lib/git/object-id.ts";
import type { Ref } from "../../../lib/git/ports.ts";
import { formatRefSnapshot } from "../../../lib/repo/refs.ts";
import type { Random } from "../differential/random.ts";
import { MemoryObjects } from "../memory-objects.ts";
import { PackBuilder } from "../pack-builder.ts";
import type { Step } from "./scheduler.ts";

const HEAD = { ref: "refs/heads/main" };
const SIDE_BRANCHES = ["refs/heads/topic", "refs/heads/release"];

export class NumberedPrimary {
  readonly objects = new MemoryObjects();
  readonly #random: Random;
  readonly #branches = new Map<string, ObjectId>();
  /** By the checksum of the refs: the numbers of the states that had them. */
  readonly #numbers = new Map<string, number[]>();
  #stateCount = 0;
  #commitCount = 0;

  constructor(random: Random) {
    this.#random = random;
    this.push();
  }

  get refs(): Ref[] {
    return [...this.#branches].map(([name, id]) => ({ name, id })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get snapshotSha256(): string {
    return formatRefSnapshot(this.refs).sha256;
  }

  /** @returns In which states the refs were these; none if they never were. */
  statesOf(snapshotSha256: string): readonly number[] {
    return this.#numbers.get(snapshotSha256) ?? [];
  }

  /** Moves a branch forward, to the side or back, or makes or deletes one. */
  push(): void {
    const name = this.#random.chance(0.5) ? HEAD.ref : this.#random.pick(SIDE_BRANCHES);
    const tip = this.#branches.get(name);
    if (tip !== undefined && name !== HEAD.ref && this.#random.chance(0.3)) this.#branches.delete(name);
    else if (tip !== undefined && this.#random.chance(0.15)) this.#branches.set(name, this.#earlier(tip));
    else this.#branches.set(name, this.#commitOn(tip ?? this.#branches.get(HEAD.ref)));
    const sha256 = this.snapshotSha256;
    this.#numbers.set(sha256, [...this.statesOf(sha256), this.#stateCount++]);
  }

  /** As one actor sees it: each answer is of one moment. */
  upstream(step: Step): UpstreamGit {
    return {
      listRefs: async (): Promise<UpstreamRefs> => {
        await step();
        return { protocol: 2, takesFilters: true, head: HEAD, refs: this.refs };
      },
      fetchPack: (options) => this.#fetch(options, step),
    };
  }

  #commitOn(parent: ObjectId | undefined): ObjectId {
    const number = this.#commitCount++;
    const files = { [`file-${number % 3}`]: `content ${number}\n`, folder: { same: "same\n" } };
    return this.objects.addCommit(files, parent === undefined ? [] : [parent], number);
  }

  #earlier(tip: ObjectId): ObjectId {
    const [, parent] = this.objects.childrenOf(tip);
    return parent ?? tip;
  }

  async *#fetch(
    { wants, haves, commitsOnly = false }: Parameters<UpstreamGit["fetchPack"]>[0],
    step: Step,
  ): AsyncGenerator<Uint8Array> {
    await step();
    const known = this.objects.closure(haves);
    const builder = new PackBuilder();
    for (const id of this.objects.closure(wants)) {
      const { type, bytes } = this.objects.at(id);
      if (known.has(id) || (commitsOnly && type !== "commit")) continue;
      builder.whole(type, bytes);
    }
    yield builder.bytes();
  }
}
