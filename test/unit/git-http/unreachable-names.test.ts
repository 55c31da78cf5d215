/**
 * Every way to name an object in a request: what no ref reaches, though the packs hold it, must look like what is not there.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { byteText } from "../../../lib/git/byte-text.ts";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { DEFAULT_REQUEST_LIMITS } from "../../../lib/git/upload-pack/fetch-request.ts";
import { uploadPack } from "../../../lib/git/upload-pack/upload-pack.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import type { HttpHandler } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { chunksOf, collect } from "../../support/byte-chunks.ts";
import { MirrorBuilder, OFS_ALL } from "../../support/git/mirror-builder.ts";
import { git } from "../../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const KINDS = ["commit", "root commit", "tree", "blob", "tag"] as const;
const UNKNOWN = "5".repeat(40);

let folder: TemporaryFolder;
let handler: HttpHandler;
let catalog: RepositoryCatalog;
let tip: string;
const lost: Record<string, string> = {};

beforeAll(async () => {
  folder = await temporaryFolder();
  const cwd = `${folder.path}/source`;
  const run = (...args: string[]): Promise<string> => git(args, { cwd });
  await git(["init", "--quiet", "--bare", "--initial-branch=main", cwd]);
  const blob = (content: string) => git(["hash-object", "-w", "--stdin"], { cwd, input: content });
  const tree = async (name: string, id: string) =>
    git(["mktree"], { cwd, input: `100644 blob ${id}\t${name}\n` });
  const first = await run("commit-tree", "-m", "1", await tree("kept", await blob("*\n")));
  tip = await run("commit-tree", "-m", "2", "-p", first, await tree("kept", await blob("kept\n")));
  const lostBlob = await blob("/secret\n");
  const lostTree = await tree("secret", lostBlob);
  const lostCommit = await run("commit-tree", "-m", "lost", "-p", first, lostTree);
  await run("update-ref", "refs/heads/main", tip);
  await run("update-ref", "refs/heads/lost", lostCommit);
  // Of a tree that is reachable: what is below a lost commit may be no secret, but that it is there.
  const lostRoot = await run("commit-tree", "-m", "lost root", `${tip}^{tree}`);
  await run("tag", "-a", "-m", "lost", "lost", lostRoot);
  const lostTag = await run("rev-parse", "lost");
  Object.assign(lost, {
    commit: lostCommit,
    "root commit": lostRoot,
    tree: lostTree,
    blob: lostBlob,
    tag: lostTag,
  });
  const store = new MemoryBlobStore();
  const builder = await MirrorBuilder.open(store, cwd, `${folder.path}/scratch`);
  await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await run("update-ref", "-d", "refs/heads/lost");
  await run("update-ref", "-d", "refs/tags/lost");
  await builder.publish("acme", "rewound", { mayHoldUnreachable: true });
  catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store) });
  handler = gitHttp({
    ...OPEN_ACCESS,
    find: (...request) => catalog.find(...request),
    log: SILENT_LOGGER,
    agent: "nearside/1",
  });
}, 60_000);

afterAll(() => folder.remove());

type Lines = readonly (string | Uint8Array)[];

async function answer(protocol: 0 | 2, lines: Lines): Promise<string> {
  const encoded = lines.map((line) => (typeof line === "string" ? encodePktLine(`${line}\n`) : line));
  const response = await handler({
    method: "POST",
    path: "/acme/rewound/git-upload-pack",
    query: new URLSearchParams(),
    headers: {
      "content-type": "application/x-git-upload-pack-request",
      "git-protocol": `version=${protocol}`,
    },
    body: chunksOf(Buffer.concat([...encoded, ...(protocol === 2 ? [FLUSH_PKT] : [])]), []),
    signal: new AbortController().signal,
  });
  return `${response.status} ${byteText(await collect(response.body))}`;
}

const v2 = (...more: string[]): Lines => ["command=fetch", DELIM_PKT, "no-progress", ...more];
const v0 = (capabilities: string, history: string[], ...haves: (string | Uint8Array)[]): Lines => [
  `want ${tip} no-progress ${capabilities}`,
  ...history,
  FLUSH_PKT,
  ...haves,
];

/** Each has the id once at least, and nothing else of the object. */
const NAMED: [string, 0 | 2, (id: string) => Lines][] = [
  ["want", 2, (id) => v2(`want ${id}`, "done")],
  ["want, v0", 0, (id) => [`want ${id} ofs-delta`, FLUSH_PKT, "done"]],
  ["want-ref", 2, (id) => v2(`want-ref ${id}`, "done")],
  ["have", 2, (id) => v2(`want ${tip}`, `have ${id}`)],
  ["have and done", 2, (id) => v2(`want ${tip}`, "thin-pack", `have ${id}`, "done")],
  ["have, without a want", 2, (id) => v2("wait-for-done", `have ${id}`)],
  ["have, v0", 0, (id) => v0("multi_ack_detailed", [], `have ${id}`, FLUSH_PKT)],
  ["have, v0 without multi_ack", 0, (id) => v0("", [], `have ${id}`, "done")],
  ["shallow", 2, (id) => v2(`want ${tip}`, `shallow ${id}`, "done")],
  ["shallow, v0", 0, (id) => v0("", [`shallow ${id}`], "done")],
  ["shallow, to be deepened", 2, (id) => v2(`want ${tip}`, `shallow ${id}`, "deepen 5", "done")],
  [
    "shallow, deepened by",
    2,
    (id) => v2(`want ${tip}`, `shallow ${id}`, "deepen 1", "deepen-relative", "done"),
  ],
  ["unshallow", 2, (id) => v2(`want ${tip}`, `shallow ${id}`, "deepen 2147483647", "done")],
  ["deepen-not", 2, (id) => v2(`want ${tip}`, `deepen-not ${id}`, "done")],
  ["deepen-not with a path", 2, (id) => v2(`want ${tip}`, `deepen-not ${id}:kept`, "done")],
  ["deepen-not, v0", 0, (id) => v0("", [`deepen-not ${id}`], "done")],
  ["sparse:oid", 2, (id) => v2(`want ${tip}`, `filter sparse:oid=${id}`, "done")],
  ["sparse:oid with a path", 2, (id) => v2(`want ${tip}`, `filter sparse:oid=${id}:kept`, "done")],
  ["sparse:oid with a lost path", 2, (id) => v2(`want ${tip}`, `filter sparse:oid=${id}:secret`, "done")],
  ["object-info", 2, (id) => ["command=object-info", DELIM_PKT, "size", `oid ${id}`]],
  ["ref-prefix", 2, (id) => ["command=ls-refs", DELIM_PKT, `ref-prefix ${id}`]],
];

describe.each(NAMED)("%s", (_, protocol, linesFor) => {
  test.each(KINDS)("a lost %s is as unknown as what is not there", async (kind) => {
    const id = lost[kind] as string;
    const expected = await answer(protocol, linesFor(UNKNOWN));
    expect((await answer(protocol, linesFor(id))).replaceAll(id, UNKNOWN)).toBe(expected);
  });
});

test("what refs reach is found in the same ways", async () => {
  const first = await git(["rev-parse", "main~1"], { cwd: `${folder.path}/source` });
  expect(await answer(2, v2(`want ${tip}`, `have ${first}`))).toContain(`ACK ${first}`);
  const deepened = v2(`want ${tip}`, `shallow ${tip}`, "deepen 5", "done");
  expect(await answer(2, deepened)).toContain(`unshallow ${tip}`);
  expect(await answer(2, v2(`want ${tip}`, `filter sparse:oid=${first}:kept`, "done"))).toContain("PACK");
  expect(await answer(2, ["command=object-info", DELIM_PKT, "size", `oid ${first}`])).toMatch(
    /[0-9a-f]{40} \d/,
  );
  expect(await answer(2, v2(`want ${tip}`, `filter sparse:oid=${first}`, "done"))).toContain(
    `ERR unable to parse sparse filter data in ${first}`,
  );
});

test("object-info looks for what no ref reaches in a planning turn", async () => {
  const source = await catalog.find({ kind: "name", workspace: "acme", slug: "rewound" }, { refs: true });
  if (source === undefined) throw new Error("not mirrored");
  const calls: string[] = [];
  const lines = ["command=object-info\n", DELIM_PKT, "size\n", `oid ${lost["blob"]}\n`, FLUSH_PKT];
  const body = Buffer.concat(lines.map((line) => (typeof line === "string" ? encodePktLine(line) : line)));
  const turn = {
    startPlanning: async () => void calls.push("start"),
    planned: () => calls.push("planned"),
  };
  const answer = await uploadPack(source, chunksOf(body, []), {
    ...{ protocol: 2, limits: DEFAULT_REQUEST_LIMITS, turn, onFailure: () => undefined },
  });
  expect(calls).toEqual(["start"]);
  for await (const _ of answer) break;
  expect(calls).toEqual(["start", "planned"]);
});
