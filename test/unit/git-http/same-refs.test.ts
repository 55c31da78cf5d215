/** The proof by refs: the primary shows a caller at least everything that the mirror would serve. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ProtocolError } from "../../../lib/errors.ts";
import { encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { showsPublishedRefs } from "../../../lib/git-http/same-refs.ts";
import { MirrorBuilder } from "../../support/git/mirror-builder.ts";
import { git } from "../../support/git/run-git.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const SERVICE = [encodePktLine("# service=git-upload-pack\n"), FLUSH_PKT];
const NO_REFS = encodePktLine(`${"0".repeat(40)} capabilities^{}\0agent=git/2\n`);

const store = new MemoryBlobStore();
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let emptyUuid: string;
let uuid: string;
/** `<id> <name>`, as git lists them, with a peeled tag. */
let refs: string[];

beforeAll(async () => {
  folder = await temporaryFolder();
  await git(["init", "--quiet", "--bare", `${folder.path}/empty.git`]);
  const empty = await MirrorBuilder.open(store, `${folder.path}/empty.git`, `${folder.path}/scratch-empty`);
  await empty.publish("acme", "empty");
  emptyUuid = empty.uuid;

  const cwd = `${folder.path}/full.git`;
  await git(["init", "--quiet", "--bare", "--initial-branch=main", cwd]);
  const tree = await git(["mktree"], { cwd, input: "" });
  const commit = async (text: string) => git(["commit-tree", tree, "-m", text], { cwd });
  await git(["update-ref", "refs/heads/main", await commit("one")], { cwd });
  await git(["update-ref", "refs/heads/topic", await commit("two")], { cwd });
  await git(["tag", "-a", "-m", "a tag", "v1", "main"], { cwd });
  const full = await MirrorBuilder.open(store, cwd, `${folder.path}/scratch-full`);
  await full.addPack({ revisions: [], packObjectsOptions: ["--all", "--delta-base-offset"] });
  await full.publish("acme", "full");
  uuid = full.uuid;
  const listed = await git(["show-ref", "--head", "--dereference"], { cwd });
  refs = listed.split("\n").map((line) => line.trim());
});

afterAll(() => folder.remove());

async function* sent(lines: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* lines;
}

/** The first ref carries the capabilities. */
const advertised = (listed: readonly string[]) => [
  ...SERVICE,
  ...listed.map((line, index) => encodePktLine(`${line}${index === 0 ? "\0side-band-64k" : ""}\n`)),
  FLUSH_PKT,
];
const shows = (listed: readonly string[]) => showsPublishedRefs(store, uuid, sent(advertised(listed)));
const named = (suffix: string) => refs.find((line) => line.endsWith(` refs/${suffix}`)) ?? "";
const without = (...lines: string[]) => refs.filter((line) => !lines.includes(line));
const withName = (line: string, name: string) => `${line.slice(0, 40)} ${name}`;
const OTHER_ID = "1".repeat(40);

describe("is complete", () => {
  test.each<[string, () => string[]]>([
    ["all refs as they are", () => refs],
    ["without HEAD", () => refs.slice(1)],
    ["without peeled values", () => refs.filter((line) => !line.endsWith("^{}"))],
    ["more refs than are here", () => [...refs, `${OTHER_ID} refs/tags/v2`]],
    [
      "one of them twice in a row",
      () => refs.flatMap((line) => (line === named("heads/topic") ? [line, line] : line)),
    ],
  ])("%s", async (_, listed) => {
    expect(await shows(listed())).toBe(true);
  });
});

describe("is not complete", () => {
  test.each<[string, () => string[]]>([
    ["no refs", () => []],
    ["HEAD only", () => refs.slice(0, 1)],
    ["a branch is missing", () => without(named("heads/topic"))],
    ["a tag is missing", () => without(named("tags/v1"))],
    [
      "a branch is missing, another comes twice",
      () => [...without(named("heads/topic")), named("heads/main")],
    ],
    [
      "a branch is missing, the one before comes twice in a row",
      () =>
        without(named("heads/topic")).flatMap((line) => (line === named("heads/main") ? [line, line] : line)),
    ],
    [
      "a branch is missing, its commit has another name",
      () => [...without(named("heads/topic")), withName(named("heads/topic"), "refs/heads/zzz")],
    ],
    [
      "a branch is missing, its name is a peeled one's",
      () => [...without(named("heads/topic")), withName(named("heads/topic"), "refs/heads/topic^{}")],
    ],
    [
      "a branch is elsewhere",
      () => refs.map((line) => (line === named("heads/topic") ? `${OTHER_ID} refs/heads/topic` : line)),
    ],
    [
      "two branches are exchanged",
      () => [
        ...without(named("heads/main"), named("heads/topic"), named("tags/v1")),
        withName(named("heads/topic"), "refs/heads/main"),
        withName(named("heads/main"), "refs/heads/topic"),
        named("tags/v1"),
      ],
    ],
    [
      "a tag is the commit that it points to",
      () => [...refs.slice(0, 3), withName(refs[0] ?? "", "refs/tags/v1")],
    ],
    ["names in other letters", () => refs.map((line) => line.replace("topic", "Topic"))],
    // git sorts them; otherwise one that comes twice could not be noticed without remembering all.
    ["not sorted", () => refs.toReversed()],
  ])("%s", async (_, listed) => {
    expect(await shows(listed())).toBe(false);
  });
});

test("an empty repository: only git's own answer without refs is complete", async () => {
  const showsEmpty = (lines: readonly Uint8Array[]) => showsPublishedRefs(store, emptyUuid, sent(lines));
  expect(await showsEmpty([...SERVICE, NO_REFS, FLUSH_PKT])).toBe(true);
  expect(await showsEmpty(advertised(refs))).toBe(true);
  await expect(showsEmpty([encodePktLine("ERR no such repository\n")])).rejects.toThrow(ProtocolError);
  await expect(showsEmpty([])).rejects.toThrow(ProtocolError);
});

test("an answer that breaks off proves nothing", async () => {
  const cut = Buffer.concat(advertised(refs)).subarray(0, -20);
  await expect(showsPublishedRefs(store, uuid, sent([cut]))).rejects.toThrow(ProtocolError);
});

test("with nothing published, nothing is served to anyone", async () => {
  const unpublished = "0a1b2c3d-0000-4000-8000-00000000dead";
  expect(await showsPublishedRefs(store, unpublished, sent(advertised(refs)))).toBe(true);
});
