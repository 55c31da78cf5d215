/** Partial clones: what the mirror leaves out is what git's own server leaves out, and comes when it is asked for. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { git, tryGit } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { expectSilentFsck, heldObjects, objectsOf } from "../support/primary.ts";
import { servedMirror } from "../support/served-mirror.ts";

const SPARSE_FILES: Record<string, string> = {
  folders: "/docs/part-1/\n/src/\n",
  cone: "/*\n!/*/\n/docs/\n!/docs/*/\n/docs/part-2/\n",
  wild: "# comment\n\n*.txt\n!chapter-[0-3].txt\ndocs/**/chapter-2.txt\n/bin/*.s?\n**/bottom.txt\n",
  negated: "*\n!docs/\n!/src/**\n\\!odd\ntrailing \n",
  bytes: "caf\xe9*\ngr\xc3\xbc*\n",
  open: "[a-\n*/part-[!1]/*-[[:digit:]].txt\nlevel-3*/\n",
};

const mirror = await servedMirror({ make: makeSampleWithPatterns });

async function makeSampleWithPatterns(repository: string): Promise<void> {
  const options = { cwd: repository };
  await makeSampleRepository(repository);
  for (const [name, text] of Object.entries(SPARSE_FILES)) {
    const input = Buffer.from(text, "latin1");
    const blobId = await git(["hash-object", "-w", "--stdin"], { ...options, input });
    const treeId = await git(["mktree"], { ...options, input: `100644 blob ${blobId}\tpatterns\n` });
    const commitId = await git(["commit-tree", "-m", name, treeId], options);
    await git(["update-ref", `refs/heads/sparse/${name}`, commitId], options);
  }
  await tagOddObjects(repository);
  await git(["gc", "--quiet"], options);
}

/**
 * Trees and blobs that nothing names but tags, one of them a tag of a tag. git counts them as wanted by name, unless it meets them
 * in another tree before.
 */
async function tagOddObjects(repository: string): Promise<void> {
  const options = { cwd: repository };
  const blobOf = (input: string) => git(["hash-object", "-w", "--stdin"], { ...options, input });
  const treeOf = (input: string) => git(["mktree"], { ...options, input });
  const innerId = await treeOf(`100644 blob ${await blobOf("inner\n")}\tinner.txt\n`);
  const outerLines = `040000 tree ${innerId}\tfolder\n100644 blob ${await blobOf("outer\n")}\touter.txt\n`;
  const tagged = {
    tree: await treeOf(outerLines),
    blob: await blobOf("tagged\n"),
    large: await blobOf("x".repeat(5000)),
  };
  for (const [name, id] of Object.entries(tagged)) await git(["tag", "-m", name, `of-${name}`, id], options);
  await git(["tag", "-m", "again", "twice-large", "of-large"], options);
  await git(["update-ref", "-d", "refs/tags/of-large"], options);
}

const FILTERS = [
  "blob:none",
  "blob:limit=0",
  "blob:limit=20",
  "blob:limit=1k",
  "tree:0",
  "tree:1",
  "tree:2",
  "tree:5",
  "object:type=commit",
  "object:type=tag",
  "object:type=tree",
  "object:type=blob",
  "combine:blob:none+tree:2",
  "combine:tree:3+blob:limit=100",
  "combine:object:type%3Dblob+tree:2",
  "combine:combine%3Atree%3A3+blob%3Alimit%3D1k",
  ...Object.keys(SPARSE_FILES).map((name) => `sparse:oid=sparse/${name}:patterns`),
  "combine:tree:4+sparse:oid%3Dsparse/cone:patterns",
];

describe.each([0, 2])("protocol %d", (protocol) => {
  const version = ["-c", `protocol.version=${protocol}`];

  test.each(FILTERS)("%s leaves out what git leaves out", async (filter) => {
    const [clone, reference] = [mirror.newPath(), mirror.newPath()];
    const args = [...version, "clone", "--quiet", "--mirror", `--filter=${filter}`];
    await git([...args, mirror.urlOf("sample"), clone]);
    await git([...args, mirror.gitUrl, reference]);
    expect(await heldObjects(clone)).toEqual(await heldObjects(reference));
    await expectSilentFsck(clone);
  });

  test("what was left out comes when it is needed", async () => {
    const clone = mirror.newPath();
    await git([
      ...version,
      "clone",
      "--quiet",
      "--bare",
      "--no-tags",
      "--filter=tree:0",
      mirror.urlOf("sample"),
      clone,
    ]);
    await git([...version, "rev-list", "--objects", "--all", "--quiet"], { cwd: clone });
    const blobs = await git(["rev-parse", "main:README.md", "main:image.bin"], { cwd: mirror.sample });
    await git([...version, "cat-file", "--batch-check"], { cwd: clone, input: blobs });
    const held = await heldObjects(clone);
    expect(held).toEqual(expect.arrayContaining(blobs.split("\n")));
    await expectSilentFsck(clone);
  });

  test("a fetch into a partial clone brings what is new", async () => {
    const [clone, reference] = [mirror.newPath(), mirror.newPath()];
    const old = await mirror.idOf("main~4");
    const held: string[][] = [];
    for (const [repository, url] of [
      [clone, mirror.urlOf("sample")],
      [reference, mirror.gitUrl],
    ] as const) {
      await git(["init", "--quiet", "--bare", repository]);
      await git(["remote", "add", "origin", url], { cwd: repository });
      const options = ["fetch", "--quiet", "--no-tags", "--filter=blob:limit=100", "origin"];
      await git([...version, ...options, `${old}:refs/heads/main`], { cwd: repository });
      await git([...version, ...options, "main:main", "pages:pages"], { cwd: repository });
      held.push(await heldObjects(repository));
    }
    expect(held[0]).toEqual(held[1]);
    await expectSilentFsck(clone);
  });

  test.each([
    ["nonsense", "invalid filter-spec 'nonsense'"],
    ["combine:", "expected something after combine:"],
    ["sparse:oid=no/such:file", "unable to access sparse blob in 'no/such:file'"],
    [
      "combine:combine%3Acombine%253Acombine%25253Acombine%2525253Atree%2525253A1",
      "filter is nested more than 4 times",
    ],
    [
      `combine:${Array.from({ length: 21 }, () => "tree:1").join("+")}`,
      "filter combines more than 20 filters",
    ],
  ])("%s is refused, with the reason", async (filter, reason) => {
    const commitId = await mirror.idOf("main");
    const { response } = await fetchRaw(protocol, commitId, filter);
    expect(response).toContain(`ERR ${reason}`);
  });
});

/** A request as a client would send it that does not check its filter. */
async function fetchRaw(protocol: number, commitId: string, filter: string): Promise<{ response: string }> {
  const line = (text: string) => `${(text.length + 5).toString(16).padStart(4, "0")}${text}\n`;
  const body =
    protocol === 2
      ? `${line("command=fetch")}0001${line(`want ${commitId}`)}${line(`filter ${filter}`)}${line("done")}0000`
      : `${line(`want ${commitId} filter`)}${line(`filter ${filter}`)}0000${line("done")}`;
  const answer = await fetch(`${mirror.urlOf("sample")}/git-upload-pack`, {
    method: "POST",
    headers: {
      "content-type": "application/x-git-upload-pack-request",
      ...(protocol === 2 ? { "git-protocol": "version=2" } : {}),
    },
    body,
  });
  return { response: await answer.text() };
}

describe("single objects", () => {
  test("a blob wanted by its id comes alone", async () => {
    const clone = mirror.newPath();
    const blobId = await mirror.idOf("main:image.bin");
    await git(["init", "--quiet", "--bare", clone]);
    for (const options of [["--filter=blob:none"], ["--filter=tree:0"], []]) {
      await git(["fetch", "--quiet", "--no-tags", ...options, mirror.urlOf("sample"), blobId], {
        cwd: clone,
      });
      expect(await heldObjects(clone)).toEqual([blobId]);
    }
  });

  test("a tree wanted by its id comes with what it holds, commits do not", async () => {
    const clone = mirror.newPath();
    const treeId = await mirror.idOf("main:docs");
    await git(["init", "--quiet", "--bare", clone]);
    await git(["fetch", "--quiet", "--no-tags", mirror.urlOf("sample"), treeId], { cwd: clone });
    expect(await heldObjects(clone)).toEqual(await objectsOf(mirror.sample, treeId));
  });

  test("many blobs come in one request", async () => {
    const clone = mirror.newPath();
    await git(["clone", "--quiet", "--no-checkout", "--filter=blob:none", mirror.urlOf("sample"), clone]);
    const before = new Set(await heldObjects(clone));
    const trace = join(clone, ".git", "trace");
    await git(["checkout", "--quiet", "main"], { cwd: clone, env: { GIT_TRACE2_EVENT: trace } });
    const fetches = (await readFile(trace, "utf8")).split("\n").filter((line) => {
      return line.includes('"child_start"') && line.includes('"fetch"');
    });
    expect(fetches.length).toBe(1);
    const listing = await git(["ls-tree", "-r", "main"], { cwd: mirror.sample });
    const blobIds = listing.split("\n").flatMap((line) => / blob ([0-9a-f]{40})/.exec(line)?.[1] ?? []);
    const sent = (await heldObjects(clone)).filter((id) => !before.has(id));
    expect(sent).toEqual([...new Set(blobIds)].toSorted());
    expect((await tryGit(["status", "--porcelain"], { cwd: clone })).stdout.length).toBe(0);
    await expectSilentFsck(clone);
  });

  test("a sparse checkout gets its files only", async () => {
    const clone = mirror.newPath();
    await git(["clone", "--quiet", "--sparse", "--filter=blob:none", mirror.urlOf("sample"), clone]);
    const blobId = await mirror.idOf("main:docs/part-1/chapter-1.txt");
    expect(await heldObjects(clone)).not.toContain(blobId);
    await git(["sparse-checkout", "set", "docs/part-1"], { cwd: clone });
    expect(await heldObjects(clone)).toContain(blobId);
    await expectSilentFsck(clone);
  });

  test("--refetch without a filter completes a partial clone", async () => {
    const clone = mirror.newPath();
    await git(["clone", "--quiet", "--mirror", "--filter=blob:none", mirror.urlOf("sample"), clone]);
    await git(["config", "--unset", "remote.origin.partialclonefilter"], { cwd: clone });
    // git tidies up after a refetch, in the background, and fsck would miss the packs that go.
    await git(["fetch", "--quiet", "--refetch", "--no-auto-maintenance", "origin"], { cwd: clone });
    expect(await heldObjects(clone)).toEqual(await heldObjects(mirror.sample));
    await expectSilentFsck(clone);
  });
});
