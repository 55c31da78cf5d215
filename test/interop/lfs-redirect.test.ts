/** Real git-lfs against a mirror that has no files of git-lfs: it is sent on to the primary, for files and with files. */
import { randomBytes } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCredentialHelper } from "../support/credential-helper.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { type GuardedMirror, startGuardedMirror } from "../support/guarded-mirror.ts";
import { TOKENS } from "../support/test-credentials.ts";

const isMissing = (await tryGit(["lfs", "version"])).exitCode !== 0;
// In CI nothing is left out.
if (isMissing && process.env["CI"] !== undefined) throw new Error("git-lfs is not installed");

describe.skipIf(isMissing)("git-lfs", () => {
  let mirror: GuardedMirror;

  beforeAll(async () => {
    mirror = await startGuardedMirror();
  });

  afterAll(() => mirror.close());

  test.each(["vault", "site"])(
    "pushes files of acme/%s through the mirror's address, and fetches them",
    async (slug) => {
      const credential = { username: "wanda", password: TOKENS.wanda };
      const helper = await makeCredentialHelper(mirror.folder, {
        [new URL(mirror.url()).host]: credential,
        [new URL(mirror.fake.gitUrl).host]: credential,
      });
      const clone = join(mirror.folder, `clone-${slug}`);
      const url = `${mirror.url()}/acme/${slug}.git`;
      await git([...helper.options, "clone", "--quiet", url, clone]);
      const run = (...args: string[]) => git([...helper.options, ...args], { cwd: clone });
      await run("lfs", "install", "--local");
      await run("lfs", "track", "*.bin");
      const content = randomBytes(100_000);
      await writeFile(join(clone, "large.bin"), content);
      await run("add", "large.bin", ".gitattributes");
      await run("commit", "--quiet", "--message=A large file");
      await run("push", "--quiet", "origin", "HEAD:refs/heads/with-file");
      const primary = mirror.primary(slug);
      expect(await git(["cat-file", "-s", "with-file:large.bin"], { cwd: primary })).toBe("131");
      await git(["update-ref", "-d", "refs/heads/with-file"], { cwd: primary });

      await rm(join(clone, ".git/lfs/objects"), { recursive: true });
      await rm(join(clone, "large.bin"));
      await run("lfs", "pull", "origin");
      expect(content.equals(await readFile(join(clone, "large.bin")))).toBe(true);
      expect((await helper.takeCalls()).filter((call) => call.startsWith("erase"))).toEqual([]);
    },
  );
});
