/** What real git makes of the smaller parts of the protocol, and those that it cannot ask for itself. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DELIM_PKT, encodePktLine, FLUSH_PKT, pktText } from "../../lib/git/pktline.ts";
import { PktLineReader } from "../../lib/git/pktline-reader.ts";
import { chunksOf } from "../support/byte-chunks.ts";
import { git, gitBytes } from "../support/git/run-git.ts";
import { expectSilentFsck, heldObjects, objectsOf } from "../support/primary.ts";
import { servedMirror } from "../support/served-mirror.ts";

const mirror = await servedMirror();
const tip = await mirror.idOf("main");

type Line = string | Uint8Array;

async function post(protocol: 0 | 2, ...lines: Line[]): Promise<Uint8Array> {
  const encoded = lines.map((line) => (typeof line === "string" ? encodePktLine(`${line}\n`) : line));
  const response = await fetch(`${mirror.urlOf("sample")}/git-upload-pack`, {
    method: "POST",
    headers: {
      "content-type": "application/x-git-upload-pack-request",
      "git-protocol": `version=${protocol}`,
    },
    body: new Uint8Array(Buffer.concat(encoded)),
  });
  expect(response.status).toBe(200);
  return new Uint8Array(await response.arrayBuffer());
}

/** The lines of an answer, and what came over each band. */
async function readAnswer(bytes: Uint8Array, isBanded: (lineIndex: number) => boolean) {
  const reader = new PktLineReader(chunksOf(bytes, []));
  const lines: string[] = [];
  const bands: Record<number, Uint8Array[]> = { 1: [], 2: [], 3: [] };
  let inPack = false;
  for (let line = await reader.next(); line.kind !== "end"; line = await reader.next()) {
    if (line.kind !== "data") lines.push(line.kind === "flush" ? "0000" : "0001");
    else if (inPack) bands[line.payload[0] ?? 0]?.push(Uint8Array.from(line.payload.subarray(1)));
    else {
      const payload = isBanded(lines.length) ? line.payload.subarray(1) : line.payload;
      if (isBanded(lines.length)) expect(line.payload[0]).toBe(1);
      lines.push(pktText(payload));
      inPack = lines.at(-1) === "packfile";
    }
  }
  return { lines, pack: Buffer.concat(bands[1] ?? []), progress: Buffer.concat(bands[2] ?? []) };
}

const plainLines = () => false;

/** The ids of the objects in the pack, which must be whole. */
async function objectsIn(pack: Uint8Array): Promise<string[]> {
  const repository = await mirror.newClient();
  await gitBytes(["index-pack", "--stdin"], { cwd: repository, input: pack });
  return heldObjects(repository);
}

describe("wanted refs", () => {
  test("come with what they point to", async () => {
    const answer = await post(
      2,
      ...["command=fetch", DELIM_PKT, "no-progress", "want-ref refs/heads/main", "want-ref HEAD"],
      ...["want-ref refs/tags/nested-tag", "done", FLUSH_PKT],
    );
    const { lines, pack } = await readAnswer(answer, plainLines);
    const tagId = await mirror.idOf("nested-tag");
    expect(lines.slice(0, -1)).toEqual([
      "wanted-refs",
      `${tip} refs/heads/main`,
      `${tip} HEAD`,
      `${tagId} refs/tags/nested-tag`,
      "0001",
      "packfile",
    ]);
    expect(await objectsIn(pack)).toEqual(await objectsOf(mirror.sample, "main", "nested-tag"));
  });

  test("with a depth, the shallow commits come first", async () => {
    const answer = await post(
      2,
      ...[
        "command=fetch",
        DELIM_PKT,
        "no-progress",
        "want-ref refs/heads/main",
        "deepen 1",
        "done",
        FLUSH_PKT,
      ],
    );
    const { lines } = await readAnswer(answer, plainLines);
    expect(lines.slice(0, 6)).toEqual([
      "shallow-info",
      `shallow ${tip}`,
      "0001",
      "wanted-refs",
      `${tip} refs/heads/main`,
      "0001",
    ]);
  });

  test("come after the acknowledgments", async () => {
    const have = await mirror.idOf("main~2");
    const answer = await post(
      2,
      ...["command=fetch", DELIM_PKT, "no-progress", "want-ref refs/heads/main", `have ${have}`, FLUSH_PKT],
    );
    const { lines } = await readAnswer(answer, plainLines);
    expect(lines.slice(0, 6)).toEqual([
      ...["acknowledgments", `ACK ${have}`, "ready", "0001", "wanted-refs"],
      `${tip} refs/heads/main`,
    ]);
  });

  test.each([
    [["want-ref refs/heads/nothing"], "ERR unknown ref refs/heads/nothing", 1],
    [["want-ref HEAD", "want-ref HEAD"], "ERR duplicate want-ref HEAD", 0],
  ])("%j is refused", async (wants, expected, listings) => {
    const answer = await post(2, "command=fetch", DELIM_PKT, ...wants, "done", FLUSH_PKT);
    expect((await readAnswer(answer, plainLines)).lines).toEqual([expected]);
    expect(mirror.takePrimaryListings()).toBe(listings);
  });

  test("a clone with a depth works while they are offered", async () => {
    const clone = mirror.newPath();
    await git(["clone", "--quiet", "--bare", "--depth=2", mirror.urlOf("sample"), clone]);
    await expectSilentFsck(clone);
  });
});

describe("side-band", () => {
  test("of everything, if the client wants that", async () => {
    const answer = await post(
      2,
      ...[
        "command=fetch",
        DELIM_PKT,
        "sideband-all",
        "ofs-delta",
        `want ${tip}`,
        "deepen 1",
        "done",
        FLUSH_PKT,
      ],
    );
    const { lines, pack } = await readAnswer(answer, () => true);
    expect(lines).toEqual(["shallow-info", `shallow ${tip}`, "0001", "packfile", "0000"]);
    const expected = await git(["rev-list", "--objects", "--no-object-names", "--no-walk", "main"], {
      cwd: mirror.sample,
    });
    expect(await objectsIn(pack)).toEqual(expected.split("\n").toSorted());
  });

  test("of everything is what git asks for", async () => {
    const clone = mirror.newPath();
    const trace = join(mirror.newPath());
    await git(["clone", "--quiet", "--bare", mirror.urlOf("sample"), clone], {
      env: { GIT_TRACE_PACKET: trace },
    });
    expect(await readFile(trace, "utf8")).toContain("sideband-all");
  });

  test("is as wide as a client of the original protocol can take", async () => {
    const expected = await objectsOf(mirror.sample, "main");
    for (const [capability, maxBytes] of [
      ["side-band", 1000],
      ["side-band-64k", 65_520],
      ["", 0],
    ] as const) {
      const answer = await post(0, `want ${tip} ${capability}`, FLUSH_PKT, "done");
      const nakBytes = encodePktLine("NAK\n").length;
      let pack = answer.subarray(nakBytes);
      if (maxBytes > 0) {
        const reader = new PktLineReader(chunksOf(pack, []));
        const pieces: Uint8Array[] = [];
        let longestBytes = 0;
        for (let line = await reader.next(); line.kind !== "flush"; line = await reader.next()) {
          if (line.kind !== "data") throw new Error("a pack ends with a flush");
          longestBytes = Math.max(longestBytes, line.payload.length + 4);
          if (line.payload[0] === 1) pieces.push(Uint8Array.from(line.payload.subarray(1)));
        }
        expect(longestBytes).toBe(maxBytes);
        pack = Buffer.concat(pieces);
      }
      expect(await objectsIn(pack)).toEqual(expected);
    }
  });

  test("has no progress if the client wants none", async () => {
    const lines = ["command=fetch", DELIM_PKT, `want ${tip}`, "done", FLUSH_PKT];
    const quiet = await post(2, ...lines.slice(0, 2), "no-progress", ...lines.slice(2));
    expect((await readAnswer(quiet, plainLines)).progress.length).toBe(0);
    const loud = await post(2, ...lines);
    expect((await readAnswer(loud, plainLines)).progress.length).toBeGreaterThan(0);
  });
});

describe("object-info", () => {
  test("returns sizes, and names what is missing", async () => {
    const unknown = "5".repeat(40);
    const names = ["main", "main^{tree}", "main:image.bin", "main:docs/part-1/chapter-1.txt", "v1.0"];
    const ids = await Promise.all(names.map((name) => mirror.idOf(name)));
    const sizes = await Promise.all(ids.map((id) => git(["cat-file", "-s", id], { cwd: mirror.sample })));
    const oids = [...ids, unknown].map((id) => `oid ${id}`);
    const answer = await post(2, "command=object-info", DELIM_PKT, "size", ...oids, FLUSH_PKT);
    const { lines } = await readAnswer(answer, plainLines);
    expect(lines).toEqual(["size", ...ids.map((id, i) => `${id} ${sizes[i]}`), `${unknown} `, "0000"]);
  });

  test("without a question has an empty answer", async () => {
    const answer = await post(2, "command=object-info", DELIM_PKT, "size", FLUSH_PKT);
    expect((await readAnswer(answer, plainLines)).lines).toEqual(["0000"]);
  });
});

test("server options and session ids are taken", async () => {
  const clone = mirror.newPath();
  const options = ["--server-option=one", "--server-option=two=2"];
  const config = ["-c", "transfer.advertiseSID=true", "-c", "protocol.version=2"];
  await git([...config, "clone", "--quiet", "--bare", ...options, mirror.urlOf("sample"), clone]);
  expect(await heldObjects(clone)).toEqual(await heldObjects(mirror.sample));
  const listing = await git([...config, "ls-remote", ...options, mirror.urlOf("sample"), "HEAD"]);
  expect(listing).toBe(`${tip}\tHEAD`);
});
