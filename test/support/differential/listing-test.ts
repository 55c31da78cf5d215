/** What is asked besides packs: refs and sizes. Here both answers must be the same to the letter. */
import { DELIM_PKT, encodePktLine, FLUSH_PKT, pktText } from "../../../lib/git/pktline.ts";
import { PktLineReader } from "../../../lib/git/pktline-reader.ts";
import { askGit } from "./git-server.ts";
import type { GitShell } from "./git-shell.ts";
import type { Random } from "./random.ts";
import type { RequestSubject } from "./random-request.ts";
import type { TestedMirror } from "./tested-mirror.ts";

export interface ListingTestOptions {
  readonly shell: GitShell;
  readonly repository: string;
  readonly mirror: TestedMirror;
}

/** @returns What differs. */
export async function testListings(
  random: Random,
  subject: RequestSubject,
  options: ListingTestOptions,
): Promise<string[]> {
  const requests = [lsRefsLines(random, subject)];
  if (subject.offer.commands.has("object-info")) requests.push(objectInfoLines(random, subject));
  const differences = await compareAdvertisements(options);
  for (const lines of requests) differences.push(...(await compareAnswers(lines, options)));
  return differences;
}

function lsRefsLines(random: Random, { refList: { refs } }: RequestSubject): string[] {
  const lines = ["peel", "symrefs", "unborn"].filter(() => random.chance(0.6));
  for (let count = random.pick([0, 0, 1, 2, 6]); count > 0; count--) {
    const name = random.chance(0.2) || refs.length === 0 ? "HEAD" : random.pick(refs).name;
    lines.push(`ref-prefix ${name.slice(0, random.between(1, name.length))}`);
  }
  return ["command=ls-refs", "", ...random.shuffle(lines)];
}

function objectInfoLines(random: Random, { graph, reachable }: RequestSubject): string[] {
  const ids = random.sample([...reachable], random.between(1, 5)).map((object) => graph.id(object));
  return ["command=object-info", "", "size", ...ids.map((id) => `oid ${id}`)];
}

async function compareAnswers(
  lines: readonly string[],
  { shell, repository, mirror }: ListingTestOptions,
): Promise<string[]> {
  const packets = lines.map((line) => (line === "" ? DELIM_PKT : encodePktLine(`${line}\n`)));
  const request = Buffer.concat([...packets, FLUSH_PKT]);
  const [git, answer] = await Promise.all([askGit(shell, repository, 2, request), mirror.ask(2, request)]);
  return compareTexts(lines.join(" "), git.stdout, answer.bytes);
}

/** Of protocol 0, without the capabilities, which are each server's own. */
async function compareAdvertisements({ shell, repository, mirror }: ListingTestOptions): Promise<string[]> {
  const args = ["upload-pack", "--http-backend-info-refs", "."];
  const [git, answer] = await Promise.all([shell.run({ args, cwd: repository }), mirror.advertisement(0)]);
  const [gitLines, mirrorLines] = [await refLines(git), await refLines(answer.bytes)];
  return compareTexts("advertisement", Buffer.from(gitLines.join("\n")), Buffer.from(mirrorLines.join("\n")));
}

async function refLines(bytes: Uint8Array): Promise<string[]> {
  const reader = new PktLineReader(once(bytes));
  const lines: string[] = [];
  for (let line = await reader.next(); line.kind !== "end"; line = await reader.next()) {
    if (line.kind === "data") lines.push(pktText(line.payload).replace(/\0.*/s, ""));
  }
  return lines.filter((line) => !line.startsWith("# service="));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

function compareTexts(what: string, git: Uint8Array, mirror: Uint8Array): string[] {
  const [gitText, mirrorText] = [Buffer.from(git).toString(), Buffer.from(mirror).toString()];
  if (gitText === mirrorText) return [];
  return [`${what}: git ${JSON.stringify(gitText)}, mirror ${JSON.stringify(mirrorText)}`];
}
