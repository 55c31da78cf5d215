/** Holds the mirror's answer to a canned request against git's, before any time counts. */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { buffer } from "node:stream/consumers";
import { OBJECT_ID_BYTES, type ObjectId } from "../../lib/git/object-id.ts";
import { type CannedRequest, objectIdsIn } from "./canned-exchange.ts";
import { type ReceivedAnswer, receiveAnswer } from "./received-answer.ts";
import type { Workspace } from "./workspace.ts";

/** What a client has before it asks. */
export interface HeldByClient {
  readonly objectFolders: readonly string[];
  readonly tips: readonly ObjectId[];
}

export interface ServerUrls {
  readonly mirror: string;
  readonly git: string;
}

/**
 * A client ends with the same whichever of the two it asked: the same shallow commits, and from what it wanted it reaches
 * the same objects, or misses the same.
 * @throws {Error} It does not.
 */
export async function verifyPacks(
  workspace: Workspace,
  urls: ServerUrls,
  request: CannedRequest,
  held: HeldByClient,
): Promise<void> {
  const mirror = await receiveAnswer(workspace, urls.mirror, request, held.objectFolders);
  const git = await receiveAnswer(workspace, urls.git, request, held.objectFolders);
  if (mirror.shallowInfo.join() !== git.shallowInfo.join())
    throw new Error(`shallow commits: mirror [${mirror.shallowInfo}], git [${git.shallowInfo}]`);
  // If packs hold the same there is no need for the long walk.
  if (!mirror.objectIds.equals(git.objectIds)) {
    const [sentByMirror, sentByGit] = [mirror, git].map(objectCount);
    workspace.progress(`the mirror's answer has ${sentByMirror} objects, git's ${sentByGit}`);
    const reached = (answer: ReceivedAnswer) => reach(workspace, answer, objectIdsIn(request, "want"), held);
    if ((await reached(mirror)) !== (await reached(git)))
      throw new Error("from what was wanted, the mirror's client does not reach what git's does");
  }
  await Promise.all([mirror, git].map(({ folder }) => rm(dirname(folder), { recursive: true })));
}

function objectCount({ objectIds }: ReceivedAnswer): number {
  return objectIds.length / OBJECT_ID_BYTES;
}

/** @returns Ids, sorted, with a question mark before what is not there. */
async function reach(
  workspace: Workspace,
  { folder }: ReceivedAnswer,
  wants: readonly ObjectId[],
  held: HeldByClient,
): Promise<string> {
  const args = ["rev-list", "--objects", "--no-object-names", "--missing=print", "--stdin"];
  const input = `${[...wants, ...held.tips.map((id) => `^${id}`)].join("\n")}\n`;
  return (await workspace.git(args, { cwd: folder, input })).split("\n").sort().join("\n");
}
/** Both answer with the same bytes; of an advertisement, which names the server, only that there is one. @throws {Error} */
export async function verifyLists(urls: ServerUrls, requests: readonly CannedRequest[]): Promise<void> {
  for (const { method, endpoint, headers, bodyBase64 } of requests) {
    const body = method === "POST" ? { body: Buffer.from(bodyBase64, "base64") } : {};
    const [mirror, git] = await Promise.all(
      [urls.mirror, urls.git].map(async (url) => {
        const response = await fetch(url + endpoint, { method, headers, ...body });
        if (response.status !== 200 || response.body === null) throw new Error(`${url}: ${response.status}`);
        return buffer(response.body);
      }),
    );
    if (mirror === undefined || git === undefined || mirror.length === 0)
      throw new Error("an answer is empty");
    if (method === "POST" && !mirror.equals(git)) throw new Error("the lists of refs are different");
  }
}
