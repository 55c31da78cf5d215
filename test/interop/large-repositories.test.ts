/** Where responses have a limit, git gets an error that names what works, or a redirect to the primary. The limit here is small. */
import { describe, expect, test } from "vitest";
import { git, tryGit } from "../support/git/run-git.ts";
import { largeRig } from "../support/large-rig.ts";
import { expectSilentFsck, refsOf } from "../support/primary.ts";

const MINUTE_MS = 60_000;
const rig = largeRig();

describe("an answer that does not fit", () => {
  test.each([0, 1, 2])(
    "is refused with its size and what works, with protocol version %d",
    async (version) => {
      const target = rig.primary.newPath();
      const clone = ["clone", "--quiet", "-c", `protocol.version=${version}`, rig.urlOf(), target];
      const { exitCode, stderr } = await tryGit(clone);
      expect(exitCode).not.toBe(0);
      expect(stderr).toMatch(/remote error: this takes 0 MB, and the mirror can send 0 MB in one answer/);
      expect(stderr).toContain("git clone --depth 1");
      expect(stderr).toContain(`git clone ${rig.primary.fake.gitUrl}/acme/sample.git`);
      expect(stderr).not.toMatch(/early EOF|index-pack|unexpected disconnect/);
    },
  );

  test("may be had as the refusal says: from the store, without history, from the primary", async () => {
    const { stderr } = await tryGit(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()]);
    const [, options = ""] = /git (-c fetch.uriProtocols=http -c \S+) clone \.\.\./.exec(stderr) ?? [];
    const fromStore = rig.primary.newPath();
    const line = ["clone", "--quiet", "--mirror", rig.urlOf(), fromStore];
    rig.caller = "someone else";
    await git([...options.split(" "), ...line]);
    expect(await refsOf(fromStore)).toBe(await refsOf(rig.primary.repository));
    await expectSilentFsck(fromStore);
    expect(rig.primaryRequests()).toEqual([]);
    const shallow = rig.primary.newPath();
    await git(["clone", "--quiet", "--depth", "1", rig.urlOf(), shallow]);
    expect(await git(["rev-list", "--count", "HEAD"], { cwd: shallow })).toBe("1");
    const [, url = ""] = /git clone (http\S+) {4}\(from Bitbucket/.exec(stderr) ?? [];
    await git(["clone", "--quiet", url, rig.primary.newPath()]);
  });

  test("of a fetch is refused, a small one is not", async () => {
    const target = rig.primary.newPath();
    await git(["clone", "--quiet", "--bare", "--depth", "3", rig.urlOf(), target]);
    expect((await tryGit(["fetch", "--quiet", "--unshallow"], { cwd: target })).stderr).toContain(
      "remote error",
    );
    await git(["fetch", "--quiet", "--depth", "5"], { cwd: target });
    expect(await git(["rev-list", "--count", "HEAD"], { cwd: target })).toBe("5");
  });
});

describe("the next try of a refused caller", () => {
  test("is redirected to the primary, within ten minutes", async () => {
    await tryGit(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()]);
    expect(rig.primaryRequests()).toEqual([]);
    rig.nowMs += 9 * MINUTE_MS;
    const target = rig.primary.newPath();
    const { exitCode, stderr } = await tryGit(["clone", "--mirror", rig.urlOf(), target]);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(await refsOf(target)).toBe(await refsOf(rig.primary.repository));
    expect(rig.primaryRequests()).toContain("/acme/sample.git/git-upload-pack");
    rig.nowMs += 2 * MINUTE_MS;
    expect((await tryGit(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()])).stderr).toContain(
      "remote error",
    );
  });

  test("of another caller, or for another repository, is not", async () => {
    await tryGit(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()]);
    rig.caller = "another";
    expect((await tryGit(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()])).stderr).toContain(
      "remote error",
    );
    expect(rig.primaryRequests()).toEqual([]);
  });

  test("with a credential is refused again, as git would not log in at the primary, and nothing is noted", async () => {
    const url = rig.urlOf().replace("://", "://developer:secret@");
    const extraHeader = [
      "-c",
      `http.extraHeader=Authorization: Basic ${Buffer.from("a:b").toString("base64")}`,
    ];
    for (let attempt = 0; attempt < 2; attempt++) {
      const { stderr } = await tryGit([...extraHeader, "clone", "--quiet", url, rig.primary.newPath()]);
      expect(stderr).toContain("remote error");
      expect(stderr).not.toContain("the same command again");
    }
    expect(rig.primaryRequests()).toEqual([]);
    expect(await rig.notes()).toEqual([]);
  });

  test("takes one request to the store, and only where the repository exceeds the limit", async () => {
    const ask = () =>
      fetch(`${rig.urlOf()}/info/refs?service=git-upload-pack`, { headers: { "git-protocol": "version=2" } });
    await (await ask()).text();
    rig.store.reset();
    await (await ask()).text();
    // The manifest, and the note that is not there.
    expect(rig.store.counts()).toMatchObject({ requests: 2 });
  });
});
