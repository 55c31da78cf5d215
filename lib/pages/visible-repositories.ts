/**
 * Which repositories a caller may see in a list: those in Bitbucket's own list for the credential, and public ones. Nothing
 * else of an answer depends on names that the caller may not read, so no part of a name can be tried out by searching.
 */
import { createHmac, randomBytes } from "node:crypto";
import { LimitExceededError, NotFoundError, UpstreamError } from "../errors.ts";
import type { HttpRequest } from "../http/message.ts";
import { lruCache } from "../lru-cache.ts";
import type { MirrorConfig } from "../mirror/mirror-config.ts";
import { isActive, isMirrored } from "../mirror/selection.ts";
import { type IndexedRepository, readWorkspaceIndex } from "../mirror/workspace-index.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { Caller } from "./caller.ts";
import { KnownUuids } from "./known-uuids.ts";
import type { ListReadable, MayRead, ReadDecision } from "./ports.ts";

export interface VisibleRepository {
  readonly uuid: string;
  readonly workspace: string;
  readonly slug: string;
  readonly projectKey: string | undefined;
  readonly isPrivate: boolean;
  readonly isSelected: true;
  /** Bitbucket's lists for the mirror's account lack it. */
  readonly unlisted: IndexedRepository["unlisted"];
}

export interface VisiblePage {
  readonly repositories: readonly VisibleRepository[];
  readonly totalCount: number;
  /** The next page's `start`; absent on the last one. */
  readonly nextStart: number | undefined;
  /** For people. */
  readonly notes: readonly string[];
  /** Why Bitbucket does not accept the credential. */
  readonly rejection?: string;
}

export interface PageRange {
  /** Part of a name, in any case; empty for all. */
  readonly search: string;
  readonly start: number;
}

export interface VisibleRepositoriesOptions {
  readonly store: BlobStore;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly listReadable: ListReadable;
  readonly mayRead: MayRead;
  /** Whether public repositories need no credential. */
  readonly allowsAnonymous: boolean;
  readonly now: () => number;
}

export const PAGE_LENGTH = 50;

const INDEX_MS = 5_000;
/** A list of 2,000 repositories takes 20 of the credential's 1,000 requests an hour. */
export const LIST_MS = 5 * 60_000;
const FAILED_LIST_MS = 10_000;
/** Where a repository has been mirrored since. */
export const OUTDATED_LIST_MS = 60_000;
const MAX_CALLERS = 500;
/** In a workspace. The list ends there, with a note. */
const MAX_LISTED = 20_000;
const CONCURRENT_WORKSPACES = 4;

const NOT_LISTABLE =
  "Bitbucket does not list repositories for this credential. Open a private one at /<workspace>/<repository>, or sign in with an e-mail address and an API token with the scope read:repository:bitbucket to see all.";
const TOO_MANY =
  "Bitbucket lists more repositories for this credential than the mirror reads. Open others at /<workspace>/<repository>.";
const NO_LIST = "Bitbucket could not be asked for your repositories just now. Try again in a moment.";

/** What Bitbucket has listed for a credential. */
interface OwnList {
  /** Of mirrored repositories, see `KnownUuids`. */
  readonly uuids: Uint8Array;
  /** How many repositories could be in it. */
  readonly knownCount: number;
  /** Bitbucket has accepted the credential. */
  readonly isAccepted: boolean;
  readonly hasFailed: boolean;
  /** Why it may be incomplete. */
  readonly notes: readonly string[];
  readonly rejection?: string;
  readonly atMs: number;
}

const NOTHING: OwnList = {
  uuids: new Uint8Array(),
  knownCount: 0,
  isAccepted: false,
  hasFailed: false,
  notes: [],
  atMs: 0,
};

export class VisibleRepositories {
  readonly #options: VisibleRepositoriesOptions;
  /** Names callers in this process's memory. */
  readonly #secret = randomBytes(32);
  readonly #lists = lruCache<Promise<OwnList>>(MAX_CALLERS);
  /** Those mirrored since the process began. */
  readonly #known = new KnownUuids();
  #mirrored: { readonly atMs: number; readonly entries: Promise<readonly VisibleRepository[]> } | undefined;

  constructor(options: VisibleRepositoriesOptions) {
    this.#options = options;
  }

  /**
   * Asks about a mirrored repository, with git's limits for wrong credentials: Bitbucket answers 401 to those, whatever it is.
   * @returns `undefined` if nothing is mirrored.
   */
  async check(request: HttpRequest, { authorization }: Caller): Promise<ReadDecision | undefined> {
    const mirrored = await this.mirrored();
    const one = mirrored.find(({ isPrivate }) => isPrivate) ?? mirrored[0];
    return one && this.#options.mayRead(request, authorization, one);
  }

  async page(request: HttpRequest, caller: Caller | undefined, range: PageRange): Promise<VisiblePage> {
    const [all, own] = await Promise.all([
      this.mirrored(),
      caller ? this.#ownList(request, caller) : NOTHING,
    ]);
    // A public repository is shown to a credential that Bitbucket accepts, or to everyone.
    const isPublicShown = this.#options.allowsAnonymous || own.isAccepted;
    const wanted = range.search.trim().toLowerCase();
    const found = all.filter(
      (one) =>
        (this.#known.has(own.uuids, one.uuid) || (!one.isPrivate && isPublicShown)) &&
        nameOf(one).toLowerCase().includes(wanted),
    );
    const end = range.start + PAGE_LENGTH;
    return {
      ...(own.rejection !== undefined && { rejection: own.rejection }),
      repositories: found.slice(range.start, end),
      totalCount: found.length,
      nextStart: end < found.length ? end : undefined,
      notes: [...own.notes, ...(own.rejection === undefined ? [] : [own.rejection])],
    };
  }

  /** All that are served, by name. One request to the store for each workspace, at most every 5 s. */
  mirrored(): Promise<readonly VisibleRepository[]> {
    const nowMs = this.#options.now();
    if (this.#mirrored === undefined || this.#mirrored.atMs + INDEX_MS <= nowMs) {
      const entries = this.#readMirrored();
      this.#mirrored = { atMs: nowMs, entries };
      entries.catch(() => {
        if (this.#mirrored?.entries === entries) this.#mirrored = undefined;
      });
    }
    return this.#mirrored.entries;
  }

  async #readMirrored(): Promise<readonly VisibleRepository[]> {
    const { store, readConfig } = this.#options;
    const config = await readConfig();
    const entries: VisibleRepository[] = [];
    for (const { workspace } of config.workspaces.filter(isActive)) {
      const { value: index } = await readWorkspaceIndex(store, workspace);
      for (const [uuid, { held, unlisted, ...entry }] of Object.entries(index?.repositories ?? {})) {
        const { slug, projectKey, isPrivate } = entry;
        const one = { uuid, workspace, slug, projectKey, isPrivate, unlisted };
        if (held !== "mirrored" || !isMirrored(config, one)) continue;
        entries.push({ ...one, isSelected: true });
        this.#known.know(uuid);
      }
    }
    return entries.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  }

  async #ownList(request: HttpRequest, caller: Caller): Promise<OwnList> {
    const key = createHmac("sha256", this.#secret).update(caller.authorization).digest("base64");
    const known = this.#lists.get(key);
    const kept = await known;
    if (kept && kept.atMs + this.#maxAgeMs(kept) > this.#options.now()) return kept;
    // Lists of wrong credentials are neither asked for nor kept: they would drive out those of others.
    const decision = await this.check(request, caller);
    if (decision === undefined) return NOTHING;
    if (decision.kind === "unauthorized") return { ...NOTHING, rejection: decision.text };
    if (decision.kind === "busy") return { ...NOTHING, hasFailed: true, notes: [NO_LIST] };
    // Another request may have begun one meanwhile.
    const newer = this.#lists.get(key);
    if (newer !== undefined && newer !== known) return newer;
    const list = this.#listOwn(caller.rest);
    this.#lists.set(key, list);
    list.catch(() => {
      if (this.#lists.get(key) === list) this.#lists.delete(key);
    });
    return list;
  }

  #maxAgeMs({ hasFailed, knownCount }: OwnList): number {
    if (hasFailed) return FAILED_LIST_MS;
    return knownCount < this.#known.count ? OUTDATED_LIST_MS : LIST_MS;
  }

  async #listOwn(authorization: string | undefined): Promise<OwnList> {
    const { readConfig, now } = this.#options;
    const names = (await readConfig()).workspaces.filter(isActive).map(({ workspace }) => workspace);
    const knownCount = this.#known.count;
    const uuids = this.#known.emptySet();
    const notes = new Set<string>();
    await inTurns(names, CONCURRENT_WORKSPACES, async (workspace) => {
      const note = authorization ? await this.#listWorkspace(authorization, workspace, uuids) : NOT_LISTABLE;
      if (note !== undefined) notes.add(note);
    });
    const hasFailed = notes.has(NO_LIST);
    return { uuids, knownCount, isAccepted: true, hasFailed, notes: [...notes], atMs: now() };
  }

  /** @returns A note if repositories may be missing. */
  async #listWorkspace(
    authorization: string,
    workspace: string,
    uuids: Uint8Array,
  ): Promise<string | undefined> {
    try {
      let count = 0;
      for await (const { uuid } of this.#options.listReadable(authorization, workspace)) {
        if (++count > MAX_LISTED) return TOO_MANY;
        this.#known.add(uuids, uuid);
      }
      return undefined;
    } catch (error) {
      // Not a member of the workspace.
      if (error instanceof NotFoundError) return undefined;
      if (error instanceof LimitExceededError) return TOO_MANY;
      if (!(error instanceof UpstreamError)) throw error;
      const { status } = error.context;
      return status === 401 || status === 403 ? NOT_LISTABLE : NO_LIST;
    }
  }
}

function nameOf({ workspace, slug }: VisibleRepository): string {
  return `${workspace}/${slug}`;
}

/** Runs `task` for each of `items`, so many at a time. */
export async function inTurns<T>(
  items: readonly T[],
  concurrency: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const workers = Array.from({ length: Math.min(concurrency, items.length) }, async () => {
    for (const item of left) await task(item);
  });
  await Promise.all(workers);
}
