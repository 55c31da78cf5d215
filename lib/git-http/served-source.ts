/** Repositories as requests find them. */
import type { UploadPackSource } from "../git/ports.ts";
import type { Newer } from "../git/upload-pack/upload-pack.ts";
import { notFoundResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { Manifest } from "../repo/manifest.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { NO_CACHE_HEADERS, type Service } from "./route.ts";

/** A repository to serve, and when the primary's refs were last seen to be its refs. */
export interface ServedSource extends UploadPackSource {
  readonly verifiedAt?: Date;
  /** Time of the primary's last webhook for a push; absent where no other process gets webhooks. */
  readonly pushedAt?: Date | undefined;
  /** The same for requests of one caller. */
  forCaller?(caller: string, serverUrl?: string): ServedSource;
  readonly uuid?: string;
  /** One up at each publish. */
  readonly generation?: number;
  /** Of the generation. */
  readonly manifest?: Manifest;
}

export interface FindNeeds {
  /** Whether the answer will take the refs. */
  readonly refs: boolean;
  /** Where the primary has the repository, see `readServedUuid` in lib/repo/resolve-repository.ts. */
  readonly primaryPath?: string | undefined;
  /** The only one that the caller may have. */
  readonly uuid?: string | undefined;
}

/** Whose request asks for what is not here. */
export interface Asker {
  /** What it asks for: a ref or an id. */
  readonly missing: string;
  /** To whom the request counts. Who has asked too often for what is not at the primary either gets what is stored; none: no limit. */
  readonly callers: readonly string[];
  /** Of a wait, which looks several times: where it has looked. */
  readonly lookedAt?: ServedSource | undefined;
  readonly signal: AbortSignal;
}

/** Syncs for the sake of a request, within its time. Without it, what is not here is not waited for. */
export interface OnDemand {
  /** @returns The repository with what the primary has had since the call; `undefined` if that was not to be had in time. */
  refresh(
    asked: RepositoryReference,
    needs: FindNeeds,
    asker: Asker,
  ): Promise<Newer<ServedSource> | undefined>;
  /**
   * The repository with a push whose event has come and that is not synchronized yet; `undefined` if there is none, or
   * if it was not to be had in time.
   * @param found - What there is.
   */
  refreshPushed(found: ServedSource, signal: AbortSignal): Promise<ServedSource | undefined>;
}

export interface UnservedRequest {
  readonly request: HttpRequest;
  readonly service: Service;
  readonly asked: RepositoryReference;
  readonly needs: FindNeeds;
  /** Where the primary has it by its name; `undefined` if that is not known. */
  readonly plainPath: string | undefined;
}

/** @returns The repository or a response; `undefined` if nothing but "not found" may be said. */
export type AnswerUnserved = (unserved: UnservedRequest) => Promise<ServedSource | HttpResponse | undefined>;

export interface ServedFinders {
  /** @returns `undefined` if it is not mirrored. */
  readonly find: (asked: RepositoryReference, needs: FindNeeds) => Promise<ServedSource | undefined>;
  /** Without it, what is not served is not found. */
  readonly unserved?: AnswerUnserved;
}

/** @returns The repository, or what is answered in its place. */
export async function findServed(
  { find, unserved }: ServedFinders,
  request: UnservedRequest,
): Promise<ServedSource | HttpResponse> {
  const source = (await find(request.asked, request.needs)) ?? (await unserved?.(request));
  return source ?? notFoundResponse(NO_CACHE_HEADERS);
}
