/** Clients that find out with the mirror what both have, each in its way. */
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";
import { git, gitBytes, tryGit } from "../support/git/run-git.ts";
import { expectSilentFsck, heldObjects } from "../support/primary.ts";
import { servedMirror } from "../support/served-mirror.ts";

const mirror = await servedMirror();

test("negotiate-only fetches find what is common", async () => {
  const clone = mirror.newPath();
  await git(["clone", "--quiet", "--bare", "--no-tags", mirror.sample, clone]);
  const options = ["--negotiate-only", "--negotiation-tip=main"];
  const found = await git(["fetch", ...options, mirror.urlOf("sample")], { cwd: clone });
  const commits = await git(["rev-list", "main"], { cwd: clone });
  expect(commits.split("\n")).toEqual(expect.arrayContaining(found.split("\n")));
  expect(found.split("\n")).toContain(await mirror.idOf("main"));
});

describe.each([0, 2])("negotiation with protocol %d", (protocol) => {
  test.each(["consecutive", "skipping", "noop", "default"])("%s", async (algorithm) => {
    const clone = await mirror.newClient();
    const old = await mirror.idOf("main~12");
    await git(["fetch", "--quiet", "--no-tags", mirror.sample, `${old}:refs/heads/main`], { cwd: clone });
    await addLocalCommits(clone, 3000);
    const config = [`protocol.version=${protocol}`, `fetch.negotiationAlgorithm=${algorithm}`];
    await git(
      [
        ...config.flatMap((setting) => ["-c", setting]),
        ...["fetch", "--quiet", mirror.urlOf("sample"), "+refs/*:refs/mirror/*"],
      ],
      { cwd: clone },
    );
    expect(await git(["rev-parse", "refs/mirror/heads/octopus"], { cwd: clone })).toBe(
      await mirror.idOf("octopus"),
    );
    await expectSilentFsck(clone);
  });

  test("of a client that shares nothing ends with everything", async () => {
    const clone = await mirror.newClient();
    await addLocalCommits(clone, 500);
    const config = ["-c", `protocol.version=${protocol}`];
    await git([...config, "fetch", "--quiet", mirror.urlOf("sample"), "+refs/*:refs/mirror/*"], {
      cwd: clone,
    });
    await expectSilentFsck(clone);
    const wanted = new Set(await heldObjects(clone));
    expect((await heldObjects(mirror.sample)).filter((id) => !wanted.has(id))).toEqual([]);
  });
});

describe("a round of protocol 0 in which the client's history is cut anew", () => {
  test.each([
    ["above what it has: not enough", "main~5", 2],
    ["below what it has: enough", "main~1", 4],
  ])("%s", async (_, have, depth) => {
    const [wantId, haveId] = [await mirror.idOf("main"), await mirror.idOf(have)];
    const lines = [`want ${wantId} multi_ack_detailed ofs-delta\n`, `deepen ${depth}\n`];
    const body = Buffer.concat([
      ...lines.map((line) => encodePktLine(line)),
      FLUSH_PKT,
      encodePktLine(`have ${haveId}\n`),
      FLUSH_PKT,
    ]);
    const ours = await fetch(`${mirror.urlOf("sample")}/git-upload-pack`, {
      method: "POST",
      headers: { "content-type": "application/x-git-upload-pack-request" },
      body,
    });
    // By a commit-graph git would look past the cut.
    const uploadPack = ["-c", "core.commitGraph=false", "upload-pack", "--stateless-rpc", mirror.sample];
    const gits = Buffer.from(await gitBytes(uploadPack, { input: body })).toString();
    expect(await ours.text()).toBe(gits);
    expect(gits).toContain(`ACK ${haveId} common\n`);
  });
});

/** Commits that the mirror does not know, in five branches, on top of `main` if there is one. */
async function addLocalCommits(repository: string, commitCount: number): Promise<void> {
  const { exitCode } = await tryGit(["rev-parse", "--verify", "refs/heads/main"], { cwd: repository });
  const salt = randomUUID();
  const commits = Array.from({ length: commitCount }, (_, i) => {
    const start = i < 5 && exitCode === 0 ? "from refs/heads/main\n" : "";
    const head = `commit refs/heads/local-${i % 5}\ncommitter C <c@example.com> ${1_800_000_000 + i} +0000\n`;
    return `${head}data ${salt.length}\n${salt}\n${start}`;
  });
  await git(["fast-import", "--quiet", "--force"], { cwd: repository, input: `${commits.join("\n")}\n` });
}
