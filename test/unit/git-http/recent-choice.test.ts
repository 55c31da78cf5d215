/** Which repositories have recent objects, what is logged where none do, and which of their old objects are among them. */
import { createHash } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { openRepository } from "../../../lib/repo/repository.ts";
import { writeRecentObjects } from "../../../lib/repo/write-recent.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { prepareRecent } from "../../../lib/sync/prepare-repository.ts";
import { ColdFetches } from "../../support/cold-fetch.ts";
import { git } from "../../support/git/run-git.ts";
import { writeName } from "../../support/named-repository.ts";
import { type Primary, startPrimary } from "../../support/primary.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID, syncRig } from "../../support/sync-rig.ts";

let primary: Primary;
afterEach(() => primary.close());

/** Branches that share no commit. */
async function makeLines(repository: string, branches: Readonly<Record<string, number>>): Promise<void> {
  await git(["init", "-q", "--bare", "--initial-branch=main", repository], {});
  const run = (...args: readonly string[]) =>
    git(["-c", "user.name=a", "-c", "user.email=a@example.com", ...args], { cwd: repository });
  const tree = await run("hash-object", "-w", "-t", "tree", "/dev/null");
  for (const [branch, count] of Object.entries(branches)) {
    let parents: string[] = [];
    for (let i = 0; i < count; i++)
      parents = ["-p", await run("commit-tree", "-m", `${branch} ${i}`, ...parents, tree)];
    await run("update-ref", `refs/heads/${branch}`, parents[1] ?? "");
  }
}

async function eventsOf(branches: Readonly<Record<string, number>>): Promise<string[]> {
  primary = await startPrimary({ make: (repository) => makeLines(repository, branches) });
  const blobs = new MemoryBlobStore();
  await syncRig(primary, blobs).sync();
  for await (const { key } of blobs.list("")) if (key.includes("/recent-")) await blobs.delete(key);
  const events: string[] = [];
  const log = { ...SILENT_LOGGER, info: (event: string) => void events.push(event) };
  await prepareRecent(RIG_UUID, { storage: { store: blobs, blocks: new BlockCache(blobs) }, log });
  return events;
}

test("a default branch of one commit leaves the main line to another branch", async () => {
  expect(await eventsOf({ main: 1, develop: 4 })).toEqual(["recent:written"]);
});

test("where nothing fits, the event says so", async () => {
  expect(await eventsOf({ main: 1 })).toEqual(["recent:none-fits"]);
});

/** Files that are all renamed and changed by the commit before the last, packed as a primary packs a whole repository. */
async function makeRenamed(repository: string): Promise<void> {
  await git(["init", "-q", "--bare", "--initial-branch=main", repository]);
  const text = (file: number, rename: number) => [
    ...Array.from({ length: 200 }, (_, i) => createHash("sha1").update(`${file} ${i}`).digest("hex")),
    rename,
  ];
  const stream: string[] = [];
  const folders = ["one", "one", "two/three", "two/three"];
  for (const [commit, folder] of folders.entries()) {
    stream.push("commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 1\nx\ndeleteall");
    for (let file = 0; file < 10; file++) {
      const content = text(file, folder === "one" ? 0 : 1).join("\n");
      stream.push(`M 100644 inline ${folder}/${file}.txt\ndata ${content.length}\n${content}`);
    }
    stream.push(`M 100644 inline number\ndata 1\n${commit}\n`);
  }
  await git(["fast-import", "--quiet"], { cwd: repository, input: stream.join("\n") });
  await git(["repack", "-adfq", "--window=50"], { cwd: repository });
}

test("what was renamed is sent as a delta of what the client has", async () => {
  primary = await startPrimary({ make: makeRenamed });
  const blobs = new MemoryBlobStore();
  await syncRig(primary, blobs).sync();
  await writeName(blobs, "acme", "sample", RIG_UUID);
  await prepareRecent(RIG_UUID, {
    storage: { store: blobs, blocks: new BlockCache(blobs) },
    log: SILENT_LOGGER,
  });
  const line = (await git(["rev-list", "main"], { cwd: primary.repository })).split("\n");
  const { bytes, indexCount } = await new ColdFetches(blobs).ask(
    `want ${line[0]}`,
    `have ${line[2]}`,
    "done",
  );
  expect(indexCount).toBe(0);
  // Whole, the ten files have some 50 KB.
  expect(bytes.length).toBeLessThan(5000);
});

/** A tag of the first commit, of which, as it is the longest, git makes the later ones deltas. */
async function makeTagged(repository: string): Promise<void> {
  await git(["init", "-q", "--bare", "--initial-branch=main", repository]);
  const words = Array.from({ length: 60 }, (_, i) => createHash("sha1").update(`${i}`).digest("hex")).join(
    "\n",
  );
  const stream: string[] = [];
  for (let commit = 0; commit < 40; commit++) {
    const message = words.slice(0, words.length - 40 * commit);
    stream.push("commit refs/heads/main", "committer A <a@example.com> 1700000000 +0000");
    stream.push(`data ${message.length}\n${message}`, `M 100644 inline number\ndata 2\n${commit % 10}\n`);
    if (commit === 0)
      stream.push(
        "tag first",
        "from refs/heads/main",
        "tagger A <a@example.com> 1700000000 +0000",
        "data 1\nx",
      );
  }
  await git(["fast-import", "--quiet"], { cwd: repository, input: stream.join("\n") });
  await git(["repack", "-adfq", "--window=50"], { cwd: repository });
}

test("a tag of a commit that is there only as what others are deltas of is answered from all objects", async () => {
  primary = await startPrimary({ make: makeTagged });
  const blobs = new MemoryBlobStore();
  await syncRig(primary, blobs).sync();
  await writeName(blobs, "acme", "sample", RIG_UUID);
  const open = () => openRepository({ store: blobs, blocks: new BlockCache(blobs) }, RIG_UUID);
  const repository = await open();
  const [objects, refList] = await Promise.all([repository.openObjects(), repository.readRefs()]);
  await writeRecentObjects(blobs, repository, { objects, refList, maxObjects: 80 });
  const [tag, head] = (await git(["rev-parse", "first", "main"], { cwd: primary.repository })).split("\n");
  const recent = await (await open()).openRecent();
  expect(recent?.history?.rowCount).toBeLessThan(40);
  const { text } = await new ColdFetches(blobs).ask(`want ${tag}`, `have ${head}`);
  expect(text).toContain(`ACK ${head}`);
});

const TAGS = 200;

/** Many tags of the newest commit. */
async function makeManyTags(repository: string): Promise<void> {
  await git(["init", "-q", "--bare", "--initial-branch=main", repository]);
  const by = "A <a@example.com> 1700000000 +0000";
  const stream: string[] = [];
  for (let commit = 0; commit < 10; commit++)
    stream.push(
      "commit refs/heads/main",
      `committer ${by}`,
      "data 1\nx",
      `M 100644 inline n\ndata 1\n${commit}`,
    );
  for (let tag = 0; tag < TAGS; tag++)
    stream.push(`tag t${tag}`, "from refs/heads/main", `tagger ${by}`, "data 1\nx");
  await git(["fast-import", "--quiet"], { cwd: repository, input: `${stream.join("\n")}\n` });
}

test("tags beyond the limit are left out, and answered from all objects", async () => {
  primary = await startPrimary({ make: makeManyTags });
  const blobs = new MemoryBlobStore();
  await syncRig(primary, blobs).sync();
  await writeName(blobs, "acme", "sample", RIG_UUID);
  const open = () => openRepository({ store: blobs, blocks: new BlockCache(blobs) }, RIG_UUID);
  const repository = await open();
  const [objects, refList] = await Promise.all([repository.openObjects(), repository.readRefs()]);
  await writeRecentObjects(blobs, repository, { objects, refList, maxObjects: 80 });
  const recent = await (await open()).openRecent();
  expect(recent?.objectCount).toBeLessThanOrEqual(90);
  const { repository: cwd } = primary;
  const tags = (await git(["for-each-ref", "--format=%(objectname)", "refs/tags"], { cwd })).split("\n");
  const head = await git(["rev-parse", "main"], { cwd });
  const counts = new Set<number>();
  for (const tag of [tags[0], tags.at(-1)]) {
    const { text, indexCount } = await new ColdFetches(blobs).ask(`want ${tag}`, `have ${head}`, "done");
    expect(text).toContain("PACK");
    counts.add(indexCount);
  }
  expect(counts).toEqual(new Set([0, 2]));
  const behind = await git(["rev-parse", "main~2"], { cwd });
  const news = [`want ${head}`, `have ${behind}`] as const;
  const withoutTags = await new ColdFetches(blobs).ask(...news, "done");
  expect(withoutTags.indexCount).toBe(0);
  const withTags = await new ColdFetches(blobs).ask(...news, "include-tag", "done");
  expect(withTags.text).toContain("PACK");
  expect(withTags.indexCount).toBe(2);
});
