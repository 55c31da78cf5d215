/** A primary that people push to at random: each step is what a mirror may find new at one sync. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import type { Head, Ref, RefList } from "../../../lib/git/ports.ts";
import type { GitShell } from "./git-shell.ts";
import { ObjectGraph } from "./object-graph.ts";
import { ObjectWriter } from "./object-writer.ts";
import type { Random } from "./random.ts";
import { type Commit, RandomHistory } from "./random-history.ts";

export class RandomPrimary {
  readonly repository: string;
  readonly graph = new ObjectGraph();
  readonly #random: Random;
  readonly #shell: GitShell;
  readonly #writer = new ObjectWriter(this.graph);
  readonly #history: RandomHistory;
  readonly #branches = new Map<string, Commit>();
  readonly #tags = new Map<string, string>();
  #head: Head = { ref: "refs/heads/main" };
  #branchCount = 0;
  #tagCount = 0;

  /** @param repository - A folder to be made: the bare repository. */
  constructor(random: Random, shell: GitShell, repository: string) {
    this.#shell = shell;
    this.repository = repository;
    this.#random = random;
    this.#history = new RandomHistory(random, this.#writer);
  }

  /** Every commit there ever was, in the order they were made. */
  get commitIds(): string[] {
    return this.#history.commits.map(({ id }) => id);
  }

  get refList(): RefList {
    const refs: Ref[] = [
      ...[...this.#branches].map(([name, { id }]) => ({ name: `refs/heads/${name}`, id: parseObjectId(id) })),
      ...[...this.#tags].map(([name, id]) => ({ name: `refs/tags/${name}`, id: parseObjectId(id) })),
    ];
    for (const [i, ref] of refs.entries()) {
      const object = this.graph.numberOf(ref.id);
      if (this.graph.type(object) !== "tag") continue;
      refs[i] = { ...ref, peeledId: parseObjectId(this.graph.id(this.graph.peel(object))) };
    }
    return { head: this.#head, refs: refs.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
  }

  /** Makes `commitCount` commits or a few more, and moves refs. */
  async push(commitCount: number): Promise<void> {
    const random = this.#random;
    if (random.chance(0.2))
      this.#tags.set(SPARSE_TAG, this.#writer.add("blob", random.pick(SPARSE_PATTERNS)));
    const until = this.#history.commits.length + commitCount;
    while (this.#history.commits.length < until) this.#grow();
    if (random.chance(0.25)) this.#forcePush();
    if (random.chance(0.2)) this.#deleteBranch();
    for (let count = random.below(4); count > 0; count--) this.#tag();
    if (random.chance(0.15)) this.#deleteTag();
    if (random.chance(0.1)) this.#moveHead();
    await this.#write();
  }

  #grow(): void {
    const random = this.#random;
    const before = [...this.#branches];
    for (const tip of this.#history.grow(before.map(([, commit]) => commit))) {
      const parents = this.graph.parents(this.graph.numberOf(tip.id));
      const forwarded = before.filter(([, { id }]) => parents.includes(this.graph.find(id)));
      if (before.length === 0) this.#branches.set("main", tip);
      else if (forwarded.length > 0 && !random.chance(0.1))
        this.#branches.set(random.pick(forwarded)[0], tip);
      else this.#branches.set(this.#newBranchName(), tip);
    }
    if (this.#branches.size > 12) this.#branches.delete(random.pick([...this.#branches.keys()].slice(1)));
  }

  #newBranchName(): string {
    this.#branchCount += 1;
    return this.#random.pick(["topic", "team/work", "release-"]) + String(this.#branchCount);
  }

  #forcePush(): void {
    const name = this.#random.pick([...this.#branches.keys()]);
    this.#branches.set(name, this.#random.pick(this.#history.commits));
  }

  #deleteBranch(): void {
    if (this.#branches.size > 1) this.#branches.delete(this.#random.pick([...this.#branches.keys()]));
  }

  #deleteTag(): void {
    if (this.#tags.size > 0) this.#tags.delete(this.#random.pick([...this.#tags.keys()]));
  }

  #tag(): void {
    const random = this.#random;
    const isMoved = this.#tags.size > 0 && random.chance(0.1);
    this.#tagCount += 1;
    const name = isMoved ? random.pick([...this.#tags.keys()]) : `v${this.#tagCount}`;
    let id = this.#tagTarget();
    // None: a lightweight tag. Two: a tag of a tag.
    for (let count = random.pick([0, 1, 1, 1, 2, 3]); count > 0; count--) id = this.#annotatedTag(name, id);
    this.#tags.set(name, id);
  }

  #tagTarget(): string {
    const random = this.#random;
    const commit = random.chance(0.7)
      ? random.pick([...this.#branches.values()])
      : random.pick(this.#history.commits);
    if (random.chance(0.85)) return commit.id;
    const [tree = 0] = this.graph.links(this.graph.numberOf(commit.id));
    const entries = [tree, ...this.graph.links(tree)];
    return this.graph.id(random.pick(entries));
  }

  #annotatedTag(name: string, targetId: string): string {
    const type = this.graph.type(this.graph.numberOf(targetId));
    const lines = [
      `object ${targetId}`,
      `type ${type}`,
      `tag ${name}`,
      `tagger Tess Tagger <tess@example.com> ${1_600_000_000 + this.#tagCount} +0000`,
      "",
      `Tag ${this.#tagCount} ${this.#random.hex(8)}`,
      "",
    ];
    return this.#writer.add("tag", lines.join("\n"));
  }

  #moveHead(): void {
    const random = this.#random;
    const id = parseObjectId(random.pick(this.#history.commits).id);
    this.#head = random.pick<Head>([
      { ref: "refs/heads/main" },
      { ref: `refs/heads/${random.pick([...this.#branches.keys()])}` },
      { ref: "refs/heads/unborn" },
      { id },
    ]);
  }

  async #write(): Promise<void> {
    await this.#writer.flush(this.#shell, this.repository);
    const { head, refs } = this.refList;
    const lines = refs.map(({ name, id }) => `${id} ${name}\n`);
    await writeFile(join(this.repository, "packed-refs"), lines.join(""));
    const headText = "ref" in head ? `ref: ${head.ref}` : head.id;
    await writeFile(join(this.repository, "HEAD"), `${headText}\n`);
    // What is no longer reachable stays, as on a server that has not cleaned up yet.
    if (!this.#random.chance(0.3)) return;
    await this.#shell.run({ args: ["repack", "-adkq", "--depth=8"], cwd: this.repository });
  }
}

/** What it points to is a blob with patterns for `sparse:oid` filters. */
export const SPARSE_TAG = "sparse";

const SPARSE_PATTERNS = [
  "/*\n!/*/\n",
  "/*\n!/*/\n/src/\n/lib/\n!/src/*/\n",
  "*.txt\n!b.txt\n",
  "# none but these\n\nc\nlib*/\nREADME\n",
  "/src/**/a.txt\n[bc]*\n!c.?\n",
  "**/level-1/\n\\!x\nx\\ y\n",
];

/**
 * What the mirror offers has to be allowed on git's side as well. Any object, because git's own check of what is reachable
 * believes in the commits' dates.
 */
const CONFIG = `[core]
	repositoryformatversion = 0
	bare = true
[uploadpack]
	allowFilter = true
	allowTipSHA1InWant = true
	allowAnySHA1InWant = true
	allowRefInWant = true
	allowSidebandAll = true
[lsrefs]
	unborn = advertise
[transfer]
	advertiseObjectInfo = true
[pack]
	threads = 1
`;

/** Makes an empty bare repository without asking git. */
export async function makeBareRepository(folder: string, config = CONFIG): Promise<void> {
  await mkdir(join(folder, "objects/pack"), { recursive: true });
  await mkdir(join(folder, "refs"));
  await writeFile(join(folder, "HEAD"), "ref: refs/heads/main\n");
  await writeFile(join(folder, "config"), config);
}
