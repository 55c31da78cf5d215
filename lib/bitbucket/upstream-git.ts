/**
 * The primary's git server, as a sync sees it: list the refs, fetch what is missing.
 * Source: gitprotocol-http(5), gitprotocol-v2(5).
 */
import { type GitHttpResponse, type HttpClient, listServerRefs, type ServerRef } from "isomorphic-git";
import { MirrorError, UpstreamError } from "../errors.ts";
import { encodeFetchRequestV0, encodeFetchRequestV2 } from "../git/fetch-pack/request.ts";
import { readFetchResponse } from "../git/fetch-pack/response.ts";
import { isObjectId, type ObjectId } from "../git/object-id.ts";
import { FLUSH_PKT } from "../git/pktline.ts";
import type { Head, Ref, RefList } from "../git/ports.ts";
import { isRefName } from "../git/ref-name.ts";
import { escapeLines, unescapeName } from "./escaped-lines.ts";
import {
  DEFAULT_GIT_HTTP_LIMITS,
  type GitRepositoryOptions,
  readAll,
  requestGit,
} from "./git-http-client.ts";
import { readUnbornHead } from "./unborn-head.ts";
import { readWholeAnswer } from "./whole-answer.ts";

export interface UpstreamRefs extends RefList {
  /** What the primary speaks. */
  readonly protocol: 0 | 2;
  /** Whether a fetch may leave objects out. */
  readonly takesFilters?: boolean;
}

interface FetchOptions {
  /** As `UpstreamRefs` said. */
  readonly protocol: 0 | 2;
  readonly wants: readonly ObjectId[];
  readonly haves: readonly ObjectId[];
  /** Of commits, nothing that they need comes with them. Only where the primary takes filters. */
  readonly commitsOnly?: boolean;
  /** Gets the primary's own progress text. */
  readonly onProgress?: (text: string) => void;
}

export interface UpstreamGit {
  /** @throws {UpstreamError} @throws {NotFoundError} @throws {LimitExceededError} */
  listRefs(): Promise<UpstreamRefs>;
  /**
   * The pack, as it arrives; thin if there are `haves`.
   * @throws {UpstreamError} @throws {NotFoundError} At the first pull or any later one.
   */
  fetchPack(options: FetchOptions): AsyncIterable<Uint8Array>;
}

const UNBORN_DEFAULT: Head = { ref: "refs/heads/main" };
/** Of one call. The first push of a branch comes between two questions, seldom twice. */
const MAX_LISTS = 3;

export function upstreamGit(options: GitRepositoryOptions): UpstreamGit {
  const { agent } = options;
  /** Another one than asked for once the primary has redirected, as it does for a renamed repository. */
  let repositoryUrl = options.repositoryUrl;

  /** @returns `undefined` if the branch that HEAD names came while it was asked for: the refs are out of date. */
  async function listOnce(): Promise<UpstreamRefs | undefined> {
    const client = new RecordingHttpClient(options, repositoryUrl);
    const serverRefs = (await listThrough(client, repositoryUrl, options)).map(unescaped);
    repositoryUrl = client.repositoryUrl;
    const protocol = client.speaksV2 ? 2 : 0;
    const refs = serverRefs.filter(({ ref }) => ref.startsWith("refs/")).map(toRef);
    const asksHead = protocol === 2 && client.tellsUnbornHead;
    const head =
      headOf(serverRefs) ?? (asksHead ? await readUnbornHead({ ...options, repositoryUrl }) : undefined);
    if (head === "born") return undefined;
    const list = { protocol, refs, head: head ?? UNBORN_DEFAULT } as const;
    return client.takesFilters ? { ...list, takesFilters: true } : list;
  }

  return {
    async listRefs() {
      for (let tries = 0; tries < MAX_LISTS; tries++) {
        const list = await listOnce();
        if (list !== undefined) return list;
      }
      throw new UpstreamError("the primary's HEAD changes with each question", { retryable: true });
    },

    async *fetchPack({ protocol, wants, haves, commitsOnly = false, onProgress }) {
      const encode = protocol === 2 ? encodeFetchRequestV2 : encodeFetchRequestV0;
      const answer = await requestGit(
        {
          method: "POST",
          url: `${repositoryUrl}/git-upload-pack`,
          headers: {
            "content-type": "application/x-git-upload-pack-request",
            accept: "application/x-git-upload-pack-result",
            "user-agent": agent,
            ...(protocol === 2 ? { "git-protocol": "version=2" } : {}),
          },
          body: encode({ wants, haves, agent, ...(commitsOnly && { filter: "tree:0" }) }),
          answerType: "application/x-git-upload-pack-result",
        },
        options,
      );
      yield* readFetchResponse(answer.body, {
        protocol,
        ...(onProgress === undefined ? {} : { onProgress }),
      });
    },
  };
}

async function listThrough(
  client: RecordingHttpClient,
  url: string,
  { agent, signal }: GitRepositoryOptions,
): Promise<ServerRef[]> {
  try {
    return await listServerRefs({
      http: client,
      url,
      headers: { "user-agent": agent },
      protocolVersion: 2,
      symrefs: true,
      peelTags: true,
    });
  } catch (error) {
    if (error instanceof MirrorError || signal?.aborted) throw error;
    throw new UpstreamError("the primary's list of refs is broken", { retryable: true, cause: error });
  }
}

/** What isomorphic-git sends through, with the checks that it leaves out. */
class RecordingHttpClient implements HttpClient {
  readonly #options: GitRepositoryOptions;
  readonly #askedUrl: string;
  repositoryUrl: string;
  speaksV2 = false;
  tellsUnbornHead = false;
  takesFilters = false;

  constructor(options: GitRepositoryOptions, repositoryUrl: string) {
    this.#options = options;
    this.#askedUrl = repositoryUrl;
    this.repositoryUrl = repositoryUrl;
  }

  request: HttpClient["request"] = async ({ url, method = "GET", headers = {}, body }) => {
    const { limits = DEFAULT_GIT_HTTP_LIMITS } = this.#options;
    const chunks: Uint8Array[] = [];
    for await (const chunk of body ?? []) chunks.push(chunk);
    const isPost = method === "POST";
    // An advertisement of version 0 without refs makes isomorphic-git ask for them as in version 2.
    if (isPost && !this.speaksV2) return gitAnswer(url, method, FLUSH_PKT);
    // Its own header says which version the advertisement asks for, in another case, but not for the command that follows.
    const sentHeaders = new Headers(headers);
    sentHeaders.set("git-protocol", "version=2");
    const answer = await requestGit(
      {
        method: isPost ? "POST" : "GET",
        url: this.repositoryUrl + url.slice(this.#askedUrl.length),
        headers: Object.fromEntries(sentHeaders.entries()),
        ...(isPost ? { body: Buffer.concat(chunks) } : {}),
        answerType: `application/x-git-upload-pack-${isPost ? "result" : "advertisement"}`,
      },
      this.#options,
    );
    const bytes = await readAll(answer.body, limits.maxRefListBytes);
    const lines = readWholeAnswer(bytes, isPost ? "list" : "advertisement");
    if (!isPost) this.#note(answer.url, lines);
    return gitAnswer(answer.url, method, escapeLines(bytes));
  };

  #note(url: string, lines: readonly string[]): void {
    const isSameOrigin = new URL(url).origin === new URL(this.repositoryUrl).origin;
    const infoRefs = url.indexOf("/info/refs?");
    // Elsewhere the credential would go to somebody else.
    if (isSameOrigin && infoRefs > 0) this.repositoryUrl = url.slice(0, infoRefs);
    this.speaksV2 = lines[0] === "version 2";
    this.tellsUnbornHead = lines.some((line) => /^ls-refs=.*\bunborn\b/.test(line));
    this.takesFilters = this.speaksV2 && lines.some((line) => /^fetch=(.* )?filter( |$)/.test(line));
  }
}

function gitAnswer(url: string, method: string, bytes: Uint8Array): GitHttpResponse {
  const kind = method === "POST" ? "result" : "advertisement";
  return {
    url,
    method,
    statusCode: 200,
    statusMessage: "OK",
    body: singleChunk(bytes),
    headers: { "content-type": `application/x-git-upload-pack-${kind}` },
  };
}

async function* singleChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function unescaped({ ref, target, ...ids }: ServerRef): ServerRef {
  return { ...ids, ref: unescapeName(ref), ...(target !== undefined && { target: unescapeName(target) }) };
}

function toRef({ ref, oid, peeled }: ServerRef): Ref {
  // Checked before anything is fetched for it: a name that cannot be published would cost a pack each time.
  if (!isObjectId(oid) || !isRefName(ref))
    throw new UpstreamError("the primary's list of refs is broken", {
      retryable: true,
      line: `${oid} ${ref}`.slice(0, 200),
    });
  if (peeled === undefined) return { name: ref, id: oid };
  if (!isObjectId(peeled))
    throw new UpstreamError("the primary's list of refs is broken", { retryable: true, ref });
  return { name: ref, id: oid, peeledId: peeled };
}

function headOf(refs: readonly ServerRef[]): Head | undefined {
  for (const { ref, oid, target } of refs) {
    if (ref !== "HEAD") continue;
    if (target !== undefined) return { ref: target };
    if (isObjectId(oid)) return { commitId: oid };
  }
  return undefined;
}
