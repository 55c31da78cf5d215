/** Takes in a server's answer to a fetch as git does, to see what a client ends with. */
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { OBJECT_ID_BYTES } from "../../lib/git/object-id.ts";
import { pktText } from "../../lib/git/pktline.ts";
import { type PktLine, PktLineReader } from "../../lib/git/pktline-reader.ts";
import { BAND, decodeBandPacket } from "../../lib/git/sideband.ts";
import { isolatedGitEnvironment } from "../support/git/run-git.ts";
import { onlyFile } from "./bench-repository.ts";
import type { CannedRequest } from "./canned-exchange.ts";
import { GIT_SAFETY_ENVIRONMENT, type Workspace } from "./workspace.ts";

export interface ReceivedAnswer {
  /** A bare repository without refs that holds what was sent, and borrows what the client had. */
  readonly folder: string;
  /** Ids of the objects in the pack, sorted, one behind the other; those that git appended to a thin pack included. */
  readonly objectIds: Buffer;
  /** `shallow <id>` and `unshallow <id>`, sorted. */
  readonly shallowInfo: readonly string[];
}

/**
 * @param held - Object folders of what the client has.
 * @throws {Error} The server reports an error, or git refuses the pack.
 */
export async function receiveAnswer(
  workspace: Workspace,
  repositoryUrl: string,
  { method, endpoint, headers, bodyBase64 }: CannedRequest,
  held: readonly string[],
): Promise<ReceivedAnswer> {
  const folder = join(await workspace.newFolder("received"), "client.git");
  await mkdir(folder);
  await workspace.git(["init", "--quiet", "--bare", folder]);
  if (held.length > 0) await writeFile(join(folder, "objects/info/alternates"), `${held.join("\n")}\n`);
  const body = Buffer.from(bodyBase64, "base64");
  const response = await fetch(repositoryUrl + endpoint, { method, headers, body });
  if (response.status !== 200 || response.body === null)
    throw new Error(`${repositoryUrl} answered ${response.status}`);
  const reader = new PktLineReader(response.body);
  const shallowInfo = await readUpToPack(reader);
  await indexPack(workspace, folder, packOf(reader));
  const cut = shallowInfo.filter((line) => line.startsWith("shallow "));
  if (cut.length > 0) await writeFile(join(folder, "shallow"), `${cut.map(lastWord).join("\n")}\n`);
  return { folder, objectIds: namesIn(await readFile(await onlyFile(folder, ".idx"))), shallowInfo };
}

function lastWord(line: string): string {
  return line.slice(line.lastIndexOf(" ") + 1);
}

/** @returns The lines of `shallow-info`. */
async function readUpToPack(reader: PktLineReader): Promise<string[]> {
  const lines: string[] = [];
  for (let line = await reader.next(); ; line = await reader.next()) {
    if (line.kind === "delim") continue;
    if (line.kind !== "data") throw new Error(`the answer has no pack: ${lines.join(", ") || line.kind}`);
    const text = pktText(line.payload);
    if (text === "packfile") return lines.filter((text) => /^(un)?shallow /.test(text)).sort();
    lines.push(text);
  }
}

async function* packOf(reader: PktLineReader): AsyncGenerator<Uint8Array, void> {
  let line: PktLine = await reader.next();
  for (; line.kind === "data"; line = await reader.next()) {
    const { band, payload } = decodeBandPacket(line.payload);
    if (band === BAND.pack) yield payload;
    else if (band === BAND.fatal) throw new Error(`the server failed: ${pktText(payload)}`);
  }
  if (line.kind !== "flush") throw new Error("the answer was cut");
}

/** Not `--strict`: a repository may hold objects that break rules made after it. */
async function indexPack(
  workspace: Workspace,
  folder: string,
  pack: AsyncIterable<Uint8Array>,
): Promise<void> {
  const child = workspace.spawn("git", ["index-pack", "--stdin", "--fix-thin"], {
    cwd: folder,
    env: { ...isolatedGitEnvironment(), ...GIT_SAFETY_ENVIRONMENT },
    stdio: ["pipe", "ignore", "inherit"],
  });
  const { stdin } = child;
  if (stdin === null) throw new Error("git did not start");
  const [[exitCode]] = await Promise.all([once(child, "exit"), pipeline(pack, stdin)]);
  if (exitCode !== 0) throw new Error("git refuses the pack in the answer");
}

/** In a version 2 index: behind the magic number, the version and the fan-out table. */
const FAN_OUT_END_BYTES = 8 + 256 * 4;

/** Source: gitformat-pack(5), "Version 2 pack-*.idx files". */
function namesIn(index: Buffer): Buffer {
  const objectCount = index.readUInt32BE(FAN_OUT_END_BYTES - 4);
  return index.subarray(FAN_OUT_END_BYTES, FAN_OUT_END_BYTES + objectCount * OBJECT_ID_BYTES);
}
