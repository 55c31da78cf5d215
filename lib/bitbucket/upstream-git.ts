/**
 * The primary's git server, as a sync sees it: list the refs, fetch what is missing.
 * Source: gitprotocol-http(5), gitprotocol-v2(5).
 */
import { type HttpClient, listServerRefs, type ServerRef } from "isomorphic-git";
import { UpstreamError } from "../errors.ts";
import { encodeFetchRequestV0, encodeFetchRequestV2 } from "../git/fetch-pack/request.ts";
import { readFetchResponse } from "../git/fetch-pack/response.ts";
import { isObjectId, type ObjectId } from "../git/object-id.ts";
import type { Head, Ref, RefList } from "../git/ports.ts";
import {
  DEFAULT_GIT_HTTP_LIMITS,
  type GitHttpAnswer,
  type GitRepositoryOptions,
  readAll,
  requestGit,
} from "./git-http-client.ts";
import { readUnbornHead } from "./unborn-head.ts";

export interface UpstreamRefs extends RefList {
  /** What the primary speaks. */
  readonly protocol: 0 | 2;
}

export interface FetchOptions {
  /** As `UpstreamRefs` said. */
  readonly protocol: 0 | 2;
  readonly wants: readonly ObjectId[];
  readonly haves: readonly ObjectId[];
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

export function upstreamGit(options: GitRepositoryOptions): UpstreamGit {
  const { agent } = options;
  /** Another one than asked for once the primary has redirected, as it does for a renamed repository. */
  let repositoryUrl = options.repositoryUrl;
  return {
    async listRefs() {
      const client = new RecordingHttpClient(options);
      const serverRefs = await listServerRefs({
        http: client,
        url: repositoryUrl,
        headers: { "user-agent": agent },
        protocolVersion: 2,
        symrefs: true,
        peelTags: true,
      });
      repositoryUrl = client.repositoryUrl;
      const protocol = client.speaksV2 ? 2 : 0;
      const refs = serverRefs.filter(({ ref }) => ref.startsWith("refs/")).map(toRef);
      const head =
        headOf(serverRefs) ??
        (protocol === 2 && client.tellsUnbornHead
          ? await readUnbornHead({ ...options, repositoryUrl })
          : undefined);
      return { protocol, refs, head: head ?? UNBORN_DEFAULT };
    },

    async *fetchPack({ protocol, wants, haves, onProgress }) {
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
          body: encode({ wants, haves, agent }),
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

/** What isomorphic-git sends through, with the checks that it leaves out. */
class RecordingHttpClient implements HttpClient {
  readonly #options: GitRepositoryOptions;
  repositoryUrl: string;
  speaksV2 = false;
  tellsUnbornHead = false;

  constructor(options: GitRepositoryOptions) {
    this.#options = options;
    this.repositoryUrl = options.repositoryUrl;
  }

  request: HttpClient["request"] = async ({ url, method = "GET", headers = {}, body }) => {
    const { limits = DEFAULT_GIT_HTTP_LIMITS } = this.#options;
    const chunks: Uint8Array[] = [];
    for await (const chunk of body ?? []) chunks.push(chunk);
    const isPost = method === "POST";
    const answer = await requestGit(
      {
        method: isPost ? "POST" : "GET",
        url: url.replace(this.#options.repositoryUrl, this.repositoryUrl),
        // Its own header says which version the advertisement asks for, but not for the command that follows.
        headers: { ...headers, "git-protocol": "version=2" },
        ...(isPost ? { body: Buffer.concat(chunks) } : {}),
      },
      this.#options,
    );
    assertGitAnswer(answer, isPost ? "result" : "advertisement");
    const bytes = await readAll(answer.body, limits.maxRefListBytes);
    // A list that was cut would look like one with fewer refs, and the others would be deleted here.
    if (!endsWithFlush(bytes))
      throw new UpstreamError("the primary's list of refs was cut", { retryable: true });
    if (!isPost) this.#note(answer.url, bytes);
    const answerHeaders = Object.fromEntries(answer.headers.entries());
    return {
      url: answer.url,
      method,
      statusCode: 200,
      statusMessage: "OK",
      body: singleChunk(bytes),
      headers: answerHeaders,
    };
  };

  #note(url: string, advertisement: Uint8Array): void {
    const isSameOrigin = new URL(url).origin === new URL(this.repositoryUrl).origin;
    const infoRefs = url.indexOf("/info/refs?");
    // Elsewhere the credential would go to somebody else.
    if (isSameOrigin && infoRefs > 0) this.repositoryUrl = url.slice(0, infoRefs);
    const text = new TextDecoder().decode(advertisement.subarray(0, 4096));
    this.speaksV2 = /^[0-9a-f]{4}version 2$/m.test(text.replace(/^.*# service=git-upload-pack\n0000/s, ""));
    this.tellsUnbornHead = /ls-refs=[^\n]*\bunborn\b/.test(text);
  }
}

async function* singleChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function assertGitAnswer({ headers, url }: GitHttpAnswer, kind: "advertisement" | "result"): void {
  const expected = `application/x-git-upload-pack-${kind}`;
  if (headers.get("content-type") === expected) return;
  const path = new URL(url).pathname;
  throw new UpstreamError("what the primary answered is not git's", {
    retryable: false,
    path,
    contentType: headers.get("content-type"),
  });
}

function endsWithFlush(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(-4)) === "0000";
}

function toRef({ ref, oid, peeled }: ServerRef): Ref {
  if (!isObjectId(oid))
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
    // An error line reads like a ref of that id.
    if (oid === "ERR") throw new UpstreamError(`the primary refused: ${ref}`, { retryable: true });
    if (ref !== "HEAD") continue;
    if (target !== undefined) return { ref: target };
    if (isObjectId(oid)) return { commitId: oid };
  }
  return undefined;
}
