/** What rows need before they can be measured, each made when a row first asks for it. */

import { type BenchRepository, prepareRepository, readOriginal } from "./bench-repository.ts";
import { type FollowedRepository, prepareFollowed, prepareFollowedStore } from "./followed-repository.ts";
import { prepareStore } from "./ingested-store.ts";
import type { WebServerPrograms } from "./nginx-git-server.ts";
import type { Workspace } from "./workspace.ts";

export interface PreparationOptions {
  readonly workspace: Workspace;
  /** The folder of the repository to measure with. */
  readonly original: string;
  readonly storeDelayMs: number;
  readonly webServer: WebServerPrograms | undefined;
  /** Whether the mirror that follows a history sees all its pushes, or only a few. */
  readonly followsEachPush: boolean;
}

export class Preparations {
  readonly workspace: Workspace;
  readonly storeDelayMs: number;
  readonly webServer: WebServerPrograms | undefined;
  readonly #original: string;
  readonly #followsEachPush: boolean;
  #whole: Promise<BenchRepository> | undefined;
  #followed: Promise<FollowedRepository> | undefined;

  constructor({ workspace, original, storeDelayMs, webServer, followsEachPush }: PreparationOptions) {
    this.workspace = workspace;
    this.storeDelayMs = storeDelayMs;
    this.webServer = webServer;
    this.#original = original;
    this.#followsEachPush = followsEachPush;
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
