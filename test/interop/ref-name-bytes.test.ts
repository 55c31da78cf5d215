/** Names of refs are bytes: a mirror has the same ones as the primary, whatever their encoding. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { git, gitBytes } from "../support/git/run-git.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import { expectSilentFsck, type Primary, startPrimary } from "../support/primary.ts";

/** Latin-1; two that a decoder cannot distinguish; an end that a trim takes; the replacement character itself. */
const NAMES = ["caf\xe9", "\xfe", "\xff", "voil\xc3\xa0", "z\xa0", "\xef\xbf\xbd", "\xf0\x9f\x98\x80"];

let primary: Primary;
let mirror: MirrorProcess & MirrorAnnouncement;

beforeEach(async () => {
  primary = await startPrimary();
  await stdin(["update-ref", "--stdin"], NAMES.map((name) => `create refs/heads/${name} main\n`).join(""));
  // The fake Bitbucket looks at files by their names, and Node reads these as UTF-8.
  await primary.git("pack-refs", "--all");
  mirror = await startMirror(primary.mirrorArguments);
});

afterEach(async () => {
  await mirror.stop("SIGKILL");
  await primary.close();
});

function stdin(args: readonly string[], bytes: string): Promise<Uint8Array> {
  return gitBytes(args, { cwd: primary.repository, input: Buffer.from(bytes, "latin1") });
}

async function listed(repository: string, protocol: number): Promise<string> {
  const args = ["-c", `protocol.version=${protocol}`, "ls-remote", "--symref", repository];
  return Buffer.from(await gitBytes(args)).toString("latin1");
}

test("they are listed, cloned and copied as they are", async () => {
  const url = mirror.repositories[0]?.cloneUrl ?? "";
  const expected = await listed(primary.repository, 2);
  for (const name of NAMES) expect(expected).toContain(`\trefs/heads/${name}\n`);
  for (const protocol of [0, 1, 2]) {
    const wanted = await listed(primary.repository, protocol);
    expect(await listed(url, protocol)).toBe(wanted);
  }
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--mirror", url, clone]);
  await expectSilentFsck(clone);
  expect(await listed(clone, 2)).toBe(expected);
  const [uuid = ""] = await readdir(join(primary.storeFolder, "repos"));
  expect(await listed(join(primary.storeFolder, "repos", uuid), 2)).toBe(expected);
});

test("one of them alone can be fetched", async () => {
  const url = mirror.repositories[0]?.cloneUrl ?? "";
  const clone = primary.newPath();
  await git(["init", "--quiet", clone]);
  await git(["fetch", "--quiet", url, "refs/heads/voilà"], { cwd: clone });
  expect(await git(["rev-parse", "FETCH_HEAD"], { cwd: clone })).toBe(await primary.git("rev-parse", "main"));
});

test("HEAD may name one, and moves between two that look alike", async () => {
  const url = mirror.repositories[0]?.cloneUrl ?? "";
  for (const name of ["\xfe", "\xff"]) {
    // git symbolic-ref takes names as arguments only, which Node encodes.
    const script = `git symbolic-ref HEAD "$(printf 'refs/heads/\\${name.charCodeAt(0).toString(8)}')"`;
    await git(["-c", `alias.head=!${script}`, "head"], { cwd: primary.repository });
    await expect.poll(() => listed(url, 2), { timeout: 60_000 }).toContain(`ref: refs/heads/${name}\tHEAD\n`);
  }
});
