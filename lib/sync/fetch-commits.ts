/** Fetches the commits of a history without trees and blobs (`filter tree:0`): a few percent of the whole. */

import type { UpstreamGit } from "../bitbucket/upstream-git.ts";
import { LimitExceededError } from "../errors.ts";
import type { ObjectId } from "../git/object-id.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import { untilAborted } from "../git/until-aborted.ts";
import type { ReadBase } from "../indexer/append-bases.ts";
import type { BuiltHistory } from "../indexer/build-history.ts";
import { PackFileProgress } from "../indexer/file-pack-source.ts";
import { indexPack } from "../indexer/index-pack.ts";
import { writeAt } from "../indexer/write-at.ts";
import { openUnnamedFile } from "../store/unnamed-file.ts";
import { batched } from "./receive-pack.ts";
import type { SyncContext } from "./sync-context.ts";

export interface CommitsRequest {
  readonly upstream: UpstreamGit;
  readonly wants: readonly ObjectId[];
  readonly haves: readonly ObjectId[];
  readonly readBase: ReadBase;
  readonly maxPackBytes: number;
}

export interface FetchedCommits {
  readonly history: BuiltHistory["history"];
  readonly index: PackIndex;
}

/**
 * @returns `undefined` if there are more commits than a history may have.
 * @throws {UpstreamError} @throws {CorruptPackError} @throws {LimitExceededError} @throws {StoppedError}
 */
export async function fetchCommits(
  { upstream, wants, haves, readBase, maxPackBytes }: CommitsRequest,
  { signal, temporaryFolder, onProgress }: Pick<SyncContext, "signal" | "temporaryFolder" | "onProgress">,
): Promise<FetchedCommits | undefined> {
  await using file = await openUnnamedFile(temporaryFolder);
  const progress = new PackFileProgress();
  const onText = (text: string) => onProgress({ phase: "waiting", text });
  const request = { protocol: 2, wants, haves, commitsOnly: true, onProgress: onText } as const;
  let packBytes = 0;
  for await (const chunk of batched(untilAborted(upstream.fetchPack(request), signal))) {
    if (packBytes + chunk.length > maxPackBytes)
      throw new LimitExceededError(`the primary's commits are larger than ${maxPackBytes} bytes`);
    await writeAt(file.handle, chunk, packBytes);
    packBytes += chunk.length;
  }
  progress.complete(packBytes);
  const { built, index } = await indexPack({ file: file.handle, progress, readBase, signal });
  return built && { history: built.history, index: new PackIndex(index) };
}
