/** What rows need before they can be measured, each made when a row first asks for it. */

import { join } from "node:path";
import { type ObjectId, parseObjectId } from "../../lib/git/object-id.ts";
import type { Ref } from "../../lib/git/ports.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type BenchRepository, prepareRepository, readOriginal } from "./bench-repository.ts";
import { type FollowedRepository, prepareFollowed, prepareFollowedStore } from "./followed-repository.ts";
import { prepareStore } from "./ingested-store.ts";
import type { WebServerPrograms } from "./nginx-git-server.ts";
import type { Workspace } from "./workspace.ts";

const SMALL_COMMIT_COUNT = 100;

export interface PreparationOptions {
  readonly workspace: Workspace;
  /** The folder of the repository to measure with. */
  readonly original: string;
  readonly storeDelayMs: number;
  readonly webServer: WebServerPrograms | undefined;
  /** Whether the mirror that follows a history sees all its pushes, or only a few. */
  readonly followsEachPush: boolean;
  /** Of the repository with many refs. */
  readonly refCount: number;
}

export class Preparations {
  readonly workspace: Workspace;
  readonly storeDelayMs: number;
  readonly webServer: WebServerPrograms | undefined;
  readonly #original: string;
  readonly #followsEachPush: boolean;
  readonly #refCount: number;
  #manyRefs: Promise<BenchRepository> | undefined;
  #whole: Promise<BenchRepository> | undefined;
  #small: Promise<BenchRepository> | undefined;
  #followed: Promise<FollowedRepository> | undefined;

  constructor({
    workspace,
    original,
    storeDelayMs,
    webServer,
    followsEachPush,
    refCount,
  }: PreparationOptions) {
    this.workspace = workspace;
    this.storeDelayMs = storeDelayMs;
    this.webServer = webServer;
    this.#original = original;
    this.#followsEachPush = followsEachPush;
    this.#refCount = refCount;
  }

  /** The repository with all its refs. */
  whole(): Promise<BenchRepository> {
    this.#whole ??= this.#prepareWhole();
    return this.#whole;
  }

  /** A store with the whole repository, as a first sync leaves it. */
  async wholeStore(): Promise<string> {
    return prepareStore(this.workspace, "whole-store", await this.whole());
  }

  async #prepareWhole(): Promise<BenchRepository> {
    const original = await readOriginal(this.workspace, this.#original);
    return prepareRepository(this.workspace, "whole", original);
  }

  /** One as most of a workspace's are. */
  small(): Promise<BenchRepository> {
    this.#small ??= this.#prepareSmall();
    return this.#small;
  }

  async smallStore(): Promise<string> {
    return prepareStore(this.workspace, "small-store", await this.small());
  }

  async #prepareSmall(): Promise<BenchRepository> {
    const folder = join(await this.workspace.newFolder("small"), "sample.git");
    await makeSampleRepository(folder, { commitCount: SMALL_COMMIT_COUNT });
    return prepareRepository(this.workspace, "small", await readOriginal(this.workspace, folder));
  }

  /** The same objects, with branches, pull requests and tags at commits all over the history. */
  manyRefs(): Promise<BenchRepository> {
    this.#manyRefs ??= this.#prepareManyRefs();
    return this.#manyRefs;
  }

  async manyRefsStore(): Promise<string> {
    return prepareStore(this.workspace, "many-refs-store", await this.manyRefs());
  }

  async #prepareManyRefs(): Promise<BenchRepository> {
    const { folder, head, refs } = await this.whole();
    const listed = await this.workspace.git(["rev-list", "--all", "--topo-order"], { cwd: folder });
    const commits = listed.split("\n").map(parseObjectId);
    const more = Array.from({ length: Math.max(0, this.#refCount - refs.length) }, (_, i): Ref => {
      const id = commits[Math.floor((i * commits.length) / this.#refCount)] as ObjectId;
      return {
        name: `refs/${i % 4 === 0 ? "heads/feature/TASK-" : "pull/"}${i}${i % 4 === 0 ? "" : "/head"}`,
        id,
      };
    });
    const parts = { objectsFolder: join(folder, "objects"), head, refs: [...refs, ...more] };
    return prepareRepository(this.workspace, "many-refs", parts);
  }

  /** The repository at the end of a history that a mirror can follow. */
  followed(): Promise<FollowedRepository> {
    this.#followed ??= this.whole().then((whole) => prepareFollowed(this.workspace, whole));
    return this.#followed;
  }

  /** A store that has followed it push by push. */
  async followedStore(): Promise<string> {
    return prepareFollowedStore(this.workspace, await this.followed(), this.#followsEachPush);
  }

  /** A store that has got it as one pack. */
  async firstPackStore(): Promise<string> {
    return prepareStore(this.workspace, "first-pack-store", (await this.followed()).repository);
  }
}
