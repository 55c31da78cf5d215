/**
 * What is done where a response has a limit and a repository may exceed it. Requests for refs of large repositories are redirected to the
 * stream tier, if there is one. Without it, or while it is away, answers that fit are sent from here. One that does not is refused with
 * what works instead, and the next try of the same caller is redirected to the primary, if that takes no credential: git does not log in
 * at a second host.
 */
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { repositoryUrlOf } from "../bitbucket/repository-url.ts";
import { errorFields } from "../errors.ts";
import { type AnswerLimit, totalPackBytes } from "../git/upload-pack/answer-limit.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { type DocumentForm, StoredDocument } from "../repo/stored-document.ts";
import type { WholeBlobs } from "../store/blob-store.ts";
import type { AllowedAccess } from "./access-decision.ts";
import { NO_CACHE_HEADERS } from "./route.ts";
import type { ServedSource } from "./served-source.ts";
import type { StreamTier } from "./stream-tier.ts";

/**
 * Lambda streams 200 MB: of the whole response, as it is sent. The framing in side-band packets adds 0.01 %, acknowledgments and progress
 * some KB. Nothing is compressed on the way. What is sent is longer than planned where deltas are written whole.
 */
export const LAMBDA_ANSWER_LIMIT = { maxPlannedBytes: 196_000_000, maxSentBytes: 199_000_000 };

/** Within which a refused caller's next try is redirected. */
const RETRY_MS = 10 * 60_000;

/** One note for a caller and a repository. The bucket's lifecycle removes them. */
const NOTE_PREFIX = "refused/";

export interface LargeRepositoriesOptions {
  readonly store: WholeBlobs;
  /** @returns Names the caller and its address without revealing them; `undefined` if there is no name: then nothing is noted. */
  readonly callerKey: (request: HttpRequest) => string | undefined;
  readonly tier?: StreamTier | undefined;
  /** Whether callers without a credential may be redirected to the primary. */
  readonly redirectsToPrimary: boolean;
  /** Where the primary serves git, without a slash at its end. */
  readonly gitUrl: string;
  readonly limit?: Pick<AnswerLimit, "maxPlannedBytes" | "maxSentBytes">;
  readonly log: Logger;
  readonly now?: () => number;
}

/** A request that its caller may make, and what it is answered from. */
export interface LargeRequest {
  readonly request: HttpRequest;
  readonly repository: RepositoryReference;
  readonly decision: AllowedAccess;
  readonly source: ServedSource;
}

interface RefusalNote {
  readonly refusedAt: string;
}

/** Without it the caller is refused once more. */
const NOTE_FORM: DocumentForm<RefusalNote> = {
  schema: z.object({ refusedAt: z.iso.datetime() }),
  whenDamaged: "absent",
};

export class LargeRepositories {
  readonly #options: LargeRepositoriesOptions;
  readonly #limit: Pick<AnswerLimit, "maxPlannedBytes" | "maxSentBytes">;
  readonly #now: () => number;

  constructor(options: LargeRepositoriesOptions) {
    this.#options = options;
    this.#limit = options.limit ?? LAMBDA_ANSWER_LIMIT;
    this.#now = options.now ?? Date.now;
  }

  /** @returns Where a request for refs is redirected; `undefined`: it is answered here. */
  async redirect(asked: LargeRequest): Promise<HttpResponse | undefined> {
    const { request, repository, decision, source } = asked;
    const { tier, log } = this.#options;
    const packBytes = totalPackBytes(source);
    const { authorization } = request.headers;
    if (tier?.takes(packBytes) && source.uuid !== undefined && (await tier.isUp())) {
      log.info("large:to-tier", { uuid: source.uuid, packBytes });
      const { remoteAddress } = request;
      return tier.redirect({ repository, authorization, remoteAddress }, decision, source.uuid);
    }
    const noteKey = packBytes > this.#limit.maxPlannedBytes ? this.#noteKey(asked) : undefined;
    const url = this.#primaryUrl(decision);
    if (noteKey === undefined || url === undefined || !(await this.#isNoted(noteKey))) return undefined;
    log.info("large:to-primary", { uuid: source.uuid, packBytes });
    const location = `${url}/info/refs?service=git-upload-pack`;
    return textResponse(307, `this repository is too large for the mirror; it is at ${url}`, {
      ...NO_CACHE_HEADERS,
      location,
    });
  }

  limitOf(asked: LargeRequest): AnswerLimit {
    return { ...this.#limit, refuse: (packBytes) => this.#refuse(asked, packBytes) };
  }

  async #refuse(asked: LargeRequest, packBytes: number): Promise<string> {
    const { log } = this.#options;
    const { uuid } = asked.source;
    log.warn("large:refused", { uuid, packBytes });
    const noteKey = this.#noteKey(asked);
    if (noteKey !== undefined) await this.#note(noteKey);
    return refusalText({
      packBytes,
      maxBytes: this.#limit.maxPlannedBytes,
      protocol: offeredProtocol(asked.source),
      primaryUrl: this.#primaryUrl(asked.decision),
      retries: noteKey !== undefined,
    });
  }

  #primaryUrl({ primaryPath, plainPath = primaryPath }: AllowedAccess): string | undefined {
    return plainPath === undefined ? undefined : repositoryUrlOf(this.#options.gitUrl, plainPath);
  }

  /** @returns `undefined` where the next try will not be redirected to the primary. */
  #noteKey({ request, source, decision }: LargeRequest): string | undefined {
    const { redirectsToPrimary, callerKey } = this.#options;
    const isPublic = request.headers["authorization"] === undefined;
    if (!redirectsToPrimary || !isPublic || this.#primaryUrl(decision) === undefined) return undefined;
    const caller = callerKey(request);
    if (caller === undefined || source.uuid === undefined) return undefined;
    return `${NOTE_PREFIX}${createHash("sha256").update(`${caller} ${source.uuid}`).digest("hex")}`;
  }

  #noteAt(key: string): StoredDocument<RefusalNote> {
    return new StoredDocument(this.#options.store, key, NOTE_FORM);
  }

  /** Never rejects: without the note the caller is refused again. */
  async #note(key: string): Promise<void> {
    try {
      await this.#noteAt(key).change(() => ({ refusedAt: new Date(this.#now()).toISOString() }));
    } catch (error) {
      this.#options.log.error("large:not-noted", { key, ...errorFields(error) });
    }
  }

  /** Never rejects, as above. */
  async #isNoted(key: string): Promise<boolean> {
    try {
      const { value } = await this.#noteAt(key).read();
      return value !== undefined && Math.abs(this.#now() - Date.parse(value.refusedAt)) <= RETRY_MS;
    } catch (error) {
      this.#options.log.error("large:note-unreadable", { key, ...errorFields(error) });
      return false;
    }
  }
}

/** @returns By which a client may fetch most of the repository from the store. */
function offeredProtocol({ packBodies, mayHoldUnreachable }: ServedSource): string | undefined {
  if (mayHoldUnreachable) return undefined;
  return packBodies.find(({ download }) => download !== undefined)?.download?.protocol;
}

interface Refusal {
  readonly packBytes: number;
  readonly maxBytes: number;
  readonly protocol: string | undefined;
  readonly primaryUrl: string | undefined;
  readonly retries: boolean;
}

function refusalText({ packBytes, maxBytes, protocol, primaryUrl, retries }: Refusal): string {
  const lines = [
    `this takes ${megabytes(packBytes)} MB, and the mirror can send ${megabytes(maxBytes)} MB in one answer. What works:`,
    protocol &&
      `  git -c fetch.uriProtocols=${protocol} -c transfer.bundleURI=true clone ...    (from the mirror's store; git 2.29 or later)`,
    "  git clone --depth 1 ...    (or --filter=blob:none)",
    primaryUrl && `  git clone ${primaryUrl}    (from Bitbucket)`,
    retries && "  the same command again, within 10 minutes: you are redirected to Bitbucket",
  ];
  return lines.filter((line) => typeof line === "string").join("\n");
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1_000_000);
}
