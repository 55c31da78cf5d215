/** What rows need before they can be measured, each made when a row first asks for it. */

import { type BenchRepository, prepareRepository, readOriginal } from "./bench-repository.ts";
import type { CannedRequest } from "./canned-exchange.ts";
import { prepareStore } from "./ingested-store.ts";
import type { WebServerPrograms } from "./nginx-git-server.ts";
import { type ClientRun, recordRequests } from "./record-requests.ts";
import type { Workspace } from "./workspace.ts";

export interface PreparationOptions {
  readonly workspace: Workspace;
  /** The folder of the repository to measure with. */
  readonly original: string;
  readonly storeDelayMs: number;
  readonly webServer: WebServerPrograms | undefined;
}

export class Preparations {
  readonly workspace: Workspace;
  readonly storeDelayMs: number;
  readonly webServer: WebServerPrograms | undefined;
  readonly #original: string;
  #whole: Promise<BenchRepository> | undefined;

  constructor({ workspace, original, storeDelayMs, webServer }: PreparationOptions) {
    this.workspace = workspace;
    this.storeDelayMs = storeDelayMs;
    this.webServer = webServer;
    this.#original = original;
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

  /** The request behind which a pack comes. @throws {Error} git did not ask for one. */
  async packRequest(run: ClientRun): Promise<CannedRequest> {
    const request = (await recordRequests(this.workspace, run)).at(-1);
    if (request?.endpoint !== "/git-upload-pack") throw new Error("git asked for nothing");
    return request;
  }
}
