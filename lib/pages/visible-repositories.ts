/**
 * Which repositories a caller may see in a list: those in Bitbucket's own list for the credential, and public ones. A credential that
 * may not list repositories gets them asked one by one, a page at a time.
 */
import { createHmac, randomBytes } from "node:crypto";
import { boundedCache } from "../auth/bounded-cache.ts";
import type { BitbucketCredential } from "../bitbucket/credential.ts";
import { LimitExceededError, NotFoundError, UpstreamError } from "../errors.ts";
import type { HttpRequest } from "../http/message.ts";
import type { MirrorConfig } from "../mirror/mirror-config.ts";
import { isActive, isMirrored } from "../mirror/selection.ts";
import { readWorkspaceIndex } from "../mirror/workspace-index.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { Caller } from "./caller.ts";
import type { ListReadable, MayRead, ReadDecision } from "./ports.ts";

export interface VisibleRepository {
  readonly uuid: string;
  readonly workspace: string;
  readonly slug: string;
  readonly projectKey: string | undefined;
  readonly isPrivate: boolean;
  readonly isSelected: true;
}

export interface VisiblePage {
  readonly repositories: readonly VisibleRepository[];
  /** Absent where repositories are asked one by one. */
  readonly totalCount: number | undefined;
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
/** Each of them is a question to Bitbucket. */
export const ASKED_PAGE_LENGTH = 20;

const INDEX_MS = 5_000;
/** A list of 2,000 repositories takes 20 of the credential's 1,000 requests an hour. */
export const LIST_MS = 5 * 60_000;
const FAILED_LIST_MS = 10_000;
const MAX_CALLERS = 500;
/** In a workspace. Whoever may read more has them asked one by one. */
const MAX_LISTED = 20_000;
const CONCURRENT_WORKSPACES = 4;
const CONCURRENT_QUESTIONS = 4;

const ASKED_ONE_BY_ONE =
  "This credential may not list repositories, so the mirror asks Bitbucket about 20 at a time. Sign in with an e-mail address and an API token with the scope read:repository:bitbucket to see them all.";
const NO_LIST = "Bitbucket could not be asked for your repositories just now. Try again in a moment.";

/** What Bitbucket has listed for a credential. */
interface OwnList {
  readonly uuids: ReadonlySet<string>;
  /** Workspaces that the credential may not list, in lower case. */
  readonly unlistable: ReadonlySet<string>;
  /** Bitbucket has accepted the credential. */
  readonly isAccepted: boolean;
  readonly hasFailed: boolean;
  readonly rejection?: string;
  readonly atMs: number;
}

const NOTHING: OwnList = {
  uuids: new Set(),
  unlistable: new Set(),
  isAccepted: false,
  hasFailed: false,
  atMs: 0,
};

export class VisibleRepositories {
  readonly #options: VisibleRepositoriesOptions;
  /** Names callers in this process's memory. */
  readonly #secret = randomBytes(32);
  readonly #lists = boundedCache<Promise<OwnList>>(MAX_CALLERS);
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
    const isKnown = (one: VisibleRepository) => own.uuids.has(one.uuid) || (!one.isPrivate && isPublicShown);
    const isAsked = (one: VisibleRepository) =>
      !isKnown(one) && own.unlistable.has(one.workspace.toLowerCase());
    const wanted = range.search.trim().toLowerCase();
    const candidates = all.filter(
      (one) => (isKnown(one) || isAsked(one)) && nameOf(one).toLowerCase().includes(wanted),
    );
    const asksOneByOne = own.unlistable.size > 0;
    const end = range.start + (asksOneByOne ? ASKED_PAGE_LENGTH : PAGE_LENGTH);
    const some = candidates.slice(range.start, end);
    const asked = await this.#readable(request, caller, some.filter(isAsked));
    return {
      ...(own.rejection !== undefined && { rejection: own.rejection }),
      repositories: some.filter((one) => isKnown(one) || asked.readable.has(one)),
      totalCount: asksOneByOne ? undefined : candidates.length,
      nextStart: end < candidates.length ? end : undefined,
      notes: [
        ...(asksOneByOne ? [ASKED_ONE_BY_ONE] : []),
        ...(own.hasFailed ? [NO_LIST] : []),
        ...(own.rejection === undefined ? [] : [own.rejection]),
        ...asked.problems,
      ],
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
      for (const [uuid, { slug, projectKey, isPrivate, held }] of Object.entries(index?.repositories ?? {})) {
        const one = { uuid, workspace, slug, projectKey, isPrivate };
        if (held === "mirrored" && isMirrored(config, one)) entries.push({ ...one, isSelected: true });
      }
    }
    return entries.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  }

  async #ownList(request: HttpRequest, caller: Caller): Promise<OwnList> {
    const key = createHmac("sha256", this.#secret).update(caller.authorization).digest("base64");
    const known = this.#lists.get(key);
    const { atMs, hasFailed } = (await known) ?? NOTHING;
    if (known && atMs + (hasFailed ? FAILED_LIST_MS : LIST_MS) > this.#options.now()) return known;
    // Lists of wrong credentials are neither asked for nor kept: they would drive out those of others.
    const decision = await this.check(request, caller);
    if (decision?.kind === "unauthorized") return { ...NOTHING, rejection: decision.text };
    if (decision?.kind === "busy") return { ...NOTHING, hasFailed: true };
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

  async #listOwn(credential: BitbucketCredential | undefined): Promise<OwnList> {
    const { readConfig, now } = this.#options;
    const names = (await readConfig()).workspaces.filter(isActive).map(({ workspace }) => workspace);
    const uuids = new Set<string>();
    const unlistable = new Set<string>();
    let isAccepted = false;
    let hasFailed = false;
    await inTurns(names, CONCURRENT_WORKSPACES, async (workspace) => {
      const result = credential ? await this.#listWorkspace(credential, workspace, uuids) : "unlistable";
      if (result === "unlistable") unlistable.add(workspace.toLowerCase());
      if (result === "accepted") isAccepted = true;
      if (result === "failed") hasFailed = true;
    });
    return { uuids, unlistable, isAccepted, hasFailed, atMs: now() };
  }

  async #listWorkspace(
    credential: BitbucketCredential,
    workspace: string,
    uuids: Set<string>,
  ): Promise<"accepted" | "hidden" | "unlistable" | "failed"> {
    try {
      let count = 0;
      for await (const { uuid } of this.#options.listReadable(credential, workspace)) {
        if (++count > MAX_LISTED) return "unlistable";
        uuids.add(uuid);
      }
      return "accepted";
    } catch (error) {
      // Not a member of the workspace.
      if (error instanceof NotFoundError) return "hidden";
      if (error instanceof LimitExceededError) return "unlistable";
      if (!(error instanceof UpstreamError)) throw error;
      const { status } = error.context;
      return status === 401 || status === 403 ? "unlistable" : "failed";
    }
  }

  async #readable(
    request: HttpRequest,
    caller: Caller | undefined,
    repositories: readonly VisibleRepository[],
  ) {
    const readable = new Set<VisibleRepository>();
    const problems = new Set<string>();
    await inTurns(repositories, CONCURRENT_QUESTIONS, async (one) => {
      const decision = await this.#options.mayRead(request, caller?.authorization, one);
      if (decision.kind === "allowed" && decision.uuid === one.uuid) readable.add(one);
      if (decision.kind === "busy" || decision.kind === "unauthorized") problems.add(decision.text);
    });
    return { readable, problems: [...problems] };
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
