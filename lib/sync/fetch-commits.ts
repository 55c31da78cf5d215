/** Fetches the commits of a history and nothing that they need: enough to see what is to come, some hundredths of the whole. */
import type { UpstreamGit } from "../bitbucket/upstream-git.ts";
import { LimitExceededError } from "../errors.ts";
import type { ObjectId } from "../git/object-id.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import type { ReadBase } from "../indexer/append-bases.ts";
import type { BuiltHistory } from "../indexer/build-history.ts";
import { PackFileProgress } from "../indexer/file-pack-source.ts";
import { indexPack } from "../indexer/index-pack.ts";
import { writeAt } from "../indexer/write-at.ts";
import { openUnnamedFile } from "../store/unnamed-file.ts";
import { untilStopped } from "./until-stopped.ts";

export interface FetchCommitsOptions {
  readonly upstream: UpstreamGit;
  readonly wants: readonly ObjectId[];
  readonly haves: readonly ObjectId[];
  readonly readBase: ReadBase;
  readonly maxPackBytes: number;
  readonly onText: (text: string) => void;
  readonly signal: AbortSignal | undefined;
  readonly temporaryFolder: string | undefined;
}

export interface FetchedCommits {
  readonly history: BuiltHistory["history"];
  readonly index: PackIndex;
}

/**
 * @returns `undefined` if they are too many for a history.
 * @throws {UpstreamError} @throws {CorruptPackError} @throws {LimitExceededError} @throws {StoppedError}
 */
export async function fetchCommits(options: FetchCommitsOptions): Promise<FetchedCommits | undefined> {
  const { upstream, wants, haves, readBase, maxPackBytes, onText, signal } = options;
  await using file = await openUnnamedFile(options.temporaryFolder);
  const progress = new PackFileProgress();
  const request = { protocol: 2, wants, haves, commitsOnly: true, onProgress: onText } as const;
  let packBytes = 0;
  for await (const chunk of untilStopped(upstream.fetchPack(request), signal)) {
    if (packBytes + chunk.length > maxPackBytes)
      throw new LimitExceededError(`the primary's commits are larger than ${maxPackBytes} bytes`);
    await writeAt(file.handle, chunk, packBytes);
    packBytes += chunk.length;
  }
  progress.complete(packBytes);
  const { built, index } = await indexPack({ file: file.handle, progress, readBase, signal });
  return built && { history: built.history, index: new PackIndex(index) };
}
