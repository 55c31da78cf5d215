/**
 * The primary's git server, as a sync sees it: list the refs, fetch what is missing.
 * Source: gitprotocol-http(5), gitprotocol-v2(5).
 */
import type { ServerRef } from "isomorphic-git";
import { UpstreamError } from "../errors.ts";
import { encodeFetchRequestV0, encodeFetchRequestV2, readFetchResponse } from "../git/fetch-pack.ts";
import { isObjectId, type ObjectId } from "../git/object-id.ts";
import type { Head, Ref, RefList, Symref } from "../git/ports.ts";
import { isRefName } from "../git/ref-name.ts";
import { beginGitAnswer, type GitRepositoryOptions } from "./git-http-client.ts";
import { listRefs } from "./list-refs.ts";

export interface UpstreamRefs extends RefList {
  /** What the primary speaks. */
  readonly protocol: 0 | 2;
  /** Whether a fetch may leave objects out. */
  readonly takesFilters?: boolean;
  /** Of protocol 2, as the primary advertised them. The next list of refs needs no advertisement with these. */
  readonly capabilities?: readonly string[];
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
  /**
   * @param known - {@link UpstreamRefs.capabilities} of an earlier list: saves a request. May be outdated.
   * @throws {UpstreamError} @throws {NotFoundError} @throws {LimitExceededError}
   */
  listRefs(known?: readonly string[]): Promise<UpstreamRefs>;
  /**
   * The pack, as it arrives; thin if there are `haves`.
   * @throws {UpstreamError} @throws {NotFoundError} At the first pull or any later one.
   */
  fetchPack(options: FetchOptions): AsyncIterable<Uint8Array>;
}

const UNBORN_DEFAULT: Head = { ref: "refs/heads/main" };

export function upstreamGit(options: GitRepositoryOptions): UpstreamGit {
  const { agent } = options;
  /** Another one than given once the primary has redirected, as it does for a renamed repository. */
  let repositoryUrl = options.repositoryUrl;

  return {
    async listRefs(known) {
      const listed = await listRefs({ ...options, repositoryUrl }, known);
      repositoryUrl = listed.repositoryUrl;
      const { protocol, capabilities } = listed;
      const refs = listed.refs.filter(({ ref }) => ref.startsWith("refs/")).map(toRef);
      const takesFilters =
        protocol === 2 && capabilities.some((capability) => /^fetch=(.* )?filter( |$)/.test(capability));
      const [head, symrefs] = [headOf(listed.refs, refs), symrefsOf(listed.refs)];
      return {
        ...{ protocol, refs, head },
        ...(symrefs.length > 0 && { symrefs }),
        ...(takesFilters && { takesFilters }),
        ...(protocol === 2 && { capabilities }),
      };
    },

    async *fetchPack({ protocol, wants, haves, commitsOnly = false, onProgress }) {
      const encode = protocol === 2 ? encodeFetchRequestV2 : encodeFetchRequestV0;
      const answer = await beginGitAnswer(
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
      yield* readFetchResponse(answer.body, { protocol, onProgress });
    },
  };
}

/** @throws {UpstreamError} Its id or name is not valid: found before a pack is fetched for a ref that cannot be published. */
function toRef({ ref, oid, peeled }: ServerRef): Ref {
  if (isObjectId(oid) && isRefName(ref)) {
    if (peeled === undefined) return { name: ref, id: oid };
    if (isObjectId(peeled)) return { name: ref, id: oid, peeledId: peeled };
  }
  throw new UpstreamError("the primary's list of refs is broken", {
    retryable: true,
    line: `${oid} ${ref} ${peeled ?? ""}`.slice(0, 200),
  });
}

/** A tag that HEAD names and no ref is left out: releases that do not know of it would not keep it. */
function headOf(listed: readonly ServerRef[], refs: readonly Ref[]): Head {
  const head = listed.find(({ ref }) => ref === "HEAD");
  if (head?.target !== undefined) return { ref: head.target };
  const tag = head?.peeled === undefined ? undefined : refs.find(({ id }) => id === head.oid);
  if (tag?.peeledId !== undefined) return { id: tag.id, peeledId: tag.peeledId };
  const id = head?.peeled ?? head?.oid;
  return id !== undefined && isObjectId(id) ? { id } : UNBORN_DEFAULT;
}

/** The manifest holds them, and each request reads it. */
const MAX_SYMREFS = 200;

/** Beyond a limit they are plain refs. */
function symrefsOf(listed: readonly ServerRef[]): Symref[] {
  const symrefs = listed.flatMap(({ ref: name, target = "" }) =>
    name.startsWith("refs/") && isRefName(target) ? [{ name, target }] : [],
  );
  return symrefs.toSorted((a, b) => (a.name < b.name ? -1 : 1)).slice(0, MAX_SYMREFS);
}
