/**
 * Answers requests for a repository that a name leads to and that is not served: its first sync is not done, its workspace is paused,
 * or it is no longer selected. Only callers who may read it at the primary get here.
 */
import { repositoryUrlOf } from "../bitbucket/repository-url.ts";
import { textResponse } from "../http/error-response.ts";
import { findWorkspace, type MirrorConfig } from "../mirror/mirror-config.ts";
import { isActive, isMirrored, selects } from "../mirror/selection.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { repositoryDocument } from "../repo/repository-record.ts";
import { type ResolvedRepository, resolveRepository } from "../repo/resolve-repository.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { FirstSync } from "./first-sync.ts";
import type { GitHttpOptions } from "./git-http.ts";
import { NO_CACHE_HEADERS } from "./route.ts";
import type { AnswerUnserved } from "./served-source.ts";

export interface UnservedOptions {
  readonly store: BlobStore;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly firstSync: Pick<FirstSync, "begin" | "wait">;
  /** Whether git is redirected to the primary where that needs no credential. */
  readonly redirects: boolean;
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
  /** Answers requests of git-lfs by what the primary says. */
  readonly lfs?: GitHttpOptions["lfs"];
}

interface Reason {
  readonly kind: "first-sync" | "unsupported" | "paused" | "not-selected";
  readonly text: string;
}

const FIRST_SYNC: Reason = { kind: "first-sync", text: "this repository is not mirrored yet" };
const PAUSED: Reason = { kind: "paused", text: "the mirror of this repository is paused" };
const NOT_SELECTED: Reason = { kind: "not-selected", text: "this repository is no longer mirrored" };

export function answerUnserved(options: UnservedOptions): AnswerUnserved {
  const { store, firstSync, redirects, gitUrl, lfs } = options;
  return async ({ request, service, asked, needs, plainPath }) => {
    const known = await resolveRepository(store, asked);
    // The decision was about another repository.
    if (known === undefined || (needs.uuid !== undefined && needs.uuid !== known.uuid)) return undefined;
    const reason = await reasonOf(known, asked, options);
    if (reason === undefined) return undefined;
    const url = plainPath === undefined ? undefined : repositoryUrlOf(gitUrl, plainPath);
    const text = `${reason.text}${url === undefined ? "" : `; it is at ${url}`}`;
    if (service === "lfs" && lfs !== undefined && plainPath !== undefined)
      return lfs({ request, uuid: undefined, primaryPath: plainPath });
    // After it has sent a credential git does not log in at another host: with one, only the primary's URL helps.
    const isPublic = request.headers["authorization"] === undefined;
    if (redirects && isPublic && service === "info-refs" && url !== undefined) {
      if (reason.kind === "first-sync") await firstSync.begin(asked, known.uuid);
      const location = `${url}/info/refs?service=git-upload-pack`;
      return textResponse(307, text, { ...NO_CACHE_HEADERS, location });
    }
    if (reason.kind === "first-sync")
      return firstSync.wait(asked, { ...needs, uuid: known.uuid }, url, request.signal);
    return textResponse(reason.kind === "paused" ? 503 : 404, text, NO_CACHE_HEADERS);
  };
}

async function reasonOf(
  { uuid, isReserved }: ResolvedRepository,
  asked: RepositoryReference,
  { store, readConfig }: UnservedOptions,
): Promise<Reason | undefined> {
  const [config, { value: record }] = await Promise.all([
    readConfig(),
    repositoryDocument(store, uuid).read(),
  ]);
  if (isReserved) {
    const workspace = asked.kind === "name" ? findWorkspace(config, asked.workspace) : undefined;
    if (workspace === undefined || workspace.removedAt !== undefined) return NOT_SELECTED;
    if (!isActive(workspace)) return PAUSED;
    const { code, message } = record?.lastError ?? {};
    return code === "UNSUPPORTED"
      ? { kind: "unsupported", text: `cannot be mirrored: ${message}` }
      : FIRST_SYNC;
  }
  if (record === undefined || !record.isNamed || isMirrored(config, record)) return undefined;
  const workspace = findWorkspace(config, record.workspace);
  const isPaused = workspace?.disabled && workspace.removedAt === undefined && selects(workspace, record);
  return isPaused ? PAUSED : NOT_SELECTED;
}
