/** A repository of the real world as the primary: its objects are only read. */
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { bytesOfText } from "../../../lib/git/byte-text.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import type { RefList } from "../../../lib/git/ports.ts";
import { readHead, readRefs } from "../git/mirror-builder.ts";
import { git, gitBytes } from "../git/run-git.ts";
import { ObjectGraph } from "./object-graph.ts";
import { makeBareRepository } from "./random-pushes.ts";

export interface RealPrimary {
  readonly repository: string;
  readonly graph: ObjectGraph;
  /** Oldest first. */
  readonly commitIds: readonly string[];
  /** What a mirror finds at one sync after the other; the last is all. */
  readonly refLists: readonly RefList[];
}

/** @param folder - To be made: a repository that borrows the original's objects and has its refs. */
export async function openRealPrimary(original: string, folder: string): Promise<RealPrimary> {
  const cwd = resolve(original);
  const objects = resolve(cwd, await git(["rev-parse", "--git-path", "objects"], { cwd }));
  await makeBareRepository(folder);
  await mkdir(join(folder, "objects/info"));
  await writeFile(join(folder, "objects/info/alternates"), `${objects}\n`);
  const gitFolder = resolve(cwd, await git(["rev-parse", "--git-dir"], { cwd }));
  const refList = { head: await readHead(gitFolder), refs: await readRefs(cwd) };
  await writeFile(
    join(folder, "packed-refs"),
    bytesOfText(refList.refs.map(({ name, id }) => `${id} ${name}\n`).join("")),
  );
  const headText = "ref" in refList.head ? `ref: ${refList.head.ref}` : refList.head.id;
  await writeFile(join(folder, "HEAD"), `${headText}\n`);
  const commits = await git(["rev-list", "--all", "--topo-order", "--reverse"], { cwd: folder });
  const refLists = [...(await earlierRefLists(folder, refList)), refList];
  return { repository: folder, graph: await readGraph(folder), commitIds: commits.split("\n"), refLists };
}

/** The default branch as it was, twice. */
async function earlierRefLists(repository: string, { head, refs }: RefList): Promise<RefList[]> {
  if (!("ref" in head) || !refs.some(({ name }) => name === head.ref)) return [];
  const history = (await git(["rev-list", "--first-parent", "HEAD"], { cwd: repository })).split("\n");
  return [0.5, 0.1].map((part) => {
    const id = parseObjectId(history[Math.floor(history.length * part)] ?? "");
    return { head, refs: [{ name: head.ref, id }] };
  });
}

async function readGraph(repository: string): Promise<ObjectGraph> {
  const graph = new ObjectGraph();
  const format = "--batch-check=%(objectname) %(objecttype) %(objectsize)";
  const listed = await git(["cat-file", "--batch-all-objects", "--unordered", format], { cwd: repository });
  const toRead: string[] = [];
  for (const line of listed.split("\n")) {
    const [id = "", type, size] = line.split(" ");
    if (type === "blob") graph.addBlob(id, Number(size));
    else toRead.push(id);
  }
  for (let start = 0; start < toRead.length; start += READ_AT_ONCE) {
    const input = `${toRead.slice(start, start + READ_AT_ONCE).join("\n")}\n`;
    addObjects(graph, await gitBytes(["cat-file", "--batch"], { cwd: repository, input }));
  }
  return graph;
}

const READ_AT_ONCE = 20_000;

/** Source: git-cat-file(1), "BATCH OUTPUT". */
function addObjects(graph: ObjectGraph, batch: Uint8Array): void {
  const decoder = new TextDecoder();
  for (let at = 0; at < batch.length; ) {
    const headEnd = batch.indexOf(0x0a, at);
    const [id = "", type, size] = decoder.decode(batch.subarray(at, headEnd)).split(" ");
    const end = headEnd + 1 + Number(size);
    if (type === "commit" || type === "tree" || type === "tag") {
      graph.add(id, type, batch.subarray(headEnd + 1, end));
    } else throw new Error(`object ${id} is a ${type}`);
    at = end + 1;
  }
}
