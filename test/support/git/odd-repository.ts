/** Builds a repository of what is rare but legal, beside what sample-repository.ts has. Same ids each time. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { git, gitBytes } from "./run-git.ts";

const FILES_IN_ONE_FOLDER = 100_000;
/** More than is read at once, and than anything here is cached. */
const HUGE_BLOB_BYTES = 8 * 1024 * 1024;
const DEEP_FOLDERS = 600;

/** Branches wide, huge, deep, criss-cross, roots and modes; tags of a blob, of a tree and of tags. */
export async function makeOddRepository(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await gitBytes(["init", "--quiet", "--bare", "--initial-branch=wide", folder]);
  const options = { cwd: folder };
  await gitBytes(["fast-import", "--quiet"], { ...options, input: oddStream() });
  await git(["update-ref", "refs/heads/modes", await commitOddModes(folder)], options);
  const treeId = await git(["rev-parse", "deep^{tree}"], options);
  const blobId = await git(["rev-parse", "roots:one"], options);
  await git(["tag", "-a", "-m", "A tree", "of-tree", treeId], options);
  await git(["tag", "-a", "-m", "A blob", "of-blob", blobId], options);
  await git(["tag", "of-blob-itself", blobId], options);
  let target = "of-tree";
  for (let level = 0; level < 20; level++) {
    await git(["tag", "-a", "-m", `Level ${level}`, `tower-${level}`, target], options);
    target = `tower-${level}`;
  }
}

/** Modes that older gits wrote: a group may write; a folder with permissions. */
async function commitOddModes(folder: string): Promise<string> {
  const options = { cwd: folder };
  const blobId = await git(["hash-object", "-w", "--stdin"], { ...options, input: "odd\n" });
  const entry = (mode: string, name: string, id: string) => [
    Buffer.from(`${mode} ${name}\0`, "latin1"),
    Buffer.from(id, "hex"),
  ];
  const write = (entries: Buffer[]) =>
    git(["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], {
      ...options,
      input: Buffer.concat(entries),
    });
  const innerId = await write(entry("100664", "a", blobId));
  const rootId = await write([
    ...entry("100664", "group", blobId),
    ...entry("100755", "\xff\xfe", blobId),
    ...entry("40755", "\xff\xff", innerId),
  ]);
  return git(["commit-tree", "-m", "Odd modes", rootId], options);
}

interface OddCommit {
  readonly ref: string;
  readonly parents?: readonly string[];
  /** fast-import(1) file commands, each with its line feed. */
  readonly changes: string;
}

function oddStream(): Uint8Array {
  const chunks: (string | Uint8Array)[] = [];
  let markCount = 0;
  const commit = ({ ref, parents = [], changes }: OddCommit): string => {
    markCount += 1;
    const [from, ...merged] = parents;
    chunks.push(`commit refs/heads/${ref}\nmark :${markCount}\n`);
    chunks.push(
      `committer C <c@example.com> ${1_700_000_000 + markCount} +0000\ndata 2\n${ref.slice(0, 1)}\n`,
    );
    if (from !== undefined) chunks.push(`from ${from}\n`);
    for (const parent of merged) chunks.push(`merge ${parent}\n`);
    chunks.push(changes, "\n");
    return `:${markCount}`;
  };
  const file = (path: string, text: string) => `M 100644 inline ${path}\ndata ${text.length}\n${text}\n`;
  const many = Array.from({ length: FILES_IN_ONE_FOLDER }, (_, i) => `M 100644 :900000 all/file-${i}\n`);
  chunks.push("blob\nmark :900000\ndata 5\nsame\n\n");
  const wide = commit({ ref: "wide", changes: many.join("") });
  commit({ ref: "wide", parents: [wide], changes: file("all/file-5000", "another") });
  chunks.push(`blob\nmark :900001\ndata ${HUGE_BLOB_BYTES}\n`, noise(HUGE_BLOB_BYTES), "\n");
  const huge = commit({ ref: "huge", changes: "M 100644 :900001 huge.bin\n" });
  commit({ ref: "huge", parents: [huge], changes: "R huge.bin moved.bin\n" });
  const path = Array.from({ length: DEEP_FOLDERS }, (_, i) => i % 10).join("/");
  const deep = commit({ ref: "deep", changes: file(`${path}/bottom`, "1") });
  commit({ ref: "deep", parents: [deep], changes: file(`${path}/bottom`, "2") });
  const roots = ["one", "two", "three"].map((name) =>
    commit({ ref: `root-${name}`, changes: file(name, name) }),
  );
  const empty = commit({ ref: "empty", changes: "" });
  commit({
    ref: "roots",
    parents: [...roots, empty],
    changes: ["one", "two", "three"].map((name) => file(name, name)).join(""),
  });
  let [left, right] = [
    commit({ ref: "left", parents: roots.slice(0, 1), changes: file("left", "0") }),
    commit({ ref: "right", parents: roots.slice(0, 1), changes: file("right", "0") }),
  ];
  for (let round = 1; round < 12; round++) {
    [left, right] = [
      commit({ ref: "left", parents: [left, right], changes: file("left", String(round)) }),
      commit({ ref: "right", parents: [right, left], changes: file("right", String(round)) }),
    ];
  }
  commit({ ref: "criss-cross", parents: [left, right], changes: file("both", "!") });
  return Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
}

/** Bytes that do not compress, the same each time. */
function noise(lengthBytes: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(lengthBytes / 64) }, (_, i) =>
    createHash("sha512").update(String(i)).digest(),
  );
  return Buffer.concat(blocks).subarray(0, lengthBytes);
}
