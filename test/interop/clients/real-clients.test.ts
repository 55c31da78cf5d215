/** Clients other than git clone from the mirror and follow it. */
import { beforeAll, describe, expect, test } from "vitest";
import { GIT_CLIENTS } from "../../support/clients/git-client.ts";
import { type MirrorBuilder, OFS_ALL } from "../../support/git/mirror-builder.ts";
import { git } from "../../support/git/run-git.ts";
import { makeSampleRepository } from "../../support/git/sample-repository.ts";
import { expectSilentFsck } from "../../support/primary.ts";
import { servedMirror } from "../../support/served-mirror.ts";

const mirror = await servedMirror();

describe.each(GIT_CLIENTS)("$name", (client) => {
  const slug = client.name.toLowerCase();
  let missing: string | undefined;
  let primary: string;
  let builder: MirrorBuilder;

  beforeAll(async () => {
    missing = await client.missing();
    // In CI nothing is left out.
    if (missing !== undefined && process.env["CI"] !== undefined) throw new Error(missing);
    primary = mirror.newSource(slug);
    await makeSampleRepository(primary);
    builder = await mirror.mirrorOf(primary);
    await builder.addPack({ revisions: ["main~9"] });
    await builder.addPack({ revisions: ["^main~9"], packObjectsOptions: ["--thin", ...OFS_ALL] });
    await builder.publish("acme", slug);
  });

  test("clones every branch and tag, and fetches what comes after", async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const clone = mirror.newPath();
    await client.clone(mirror.urlOf(slug), clone);
    await expectSilentFsck(clone);
    expect(await missingTips(primary, clone)).toEqual([]);

    await pushCommits(primary, 3);
    await builder.addPack({
      revisions: ["main", "^main~3"],
      packObjectsOptions: ["--thin", "--delta-base-offset"],
    });
    await builder.publish("acme", slug);
    await client.fetch(clone);
    await expectSilentFsck(clone);
    expect(await missingTips(primary, clone)).toEqual([]);
    expect(await git(["for-each-ref", "--points-at", await tipOf(primary)], { cwd: clone })).toContain(
      "main",
    );
  });

  if (!client.canCloneShallow) return;
  test("clones a few commits", async ({ skip }) => {
    if (missing !== undefined) return skip(missing);
    const clone = mirror.newPath();
    await client.clone(mirror.urlOf(slug), clone, 3);
    expect(await git(["rev-parse", "--is-shallow-repository"], { cwd: clone })).toBe("true");
    const args = ["rev-list", "--count", "--first-parent", await tipOf(primary)];
    const count = Number(await git(args, { cwd: clone }));
    expect(count).toBe(3);
    await expectSilentFsck(clone);
  });
});

function tipOf(repository: string): Promise<string> {
  return git(["rev-parse", "main"], { cwd: repository });
}

/** What the primary's refs name and the clone does not hold. */
async function missingTips(primary: string, clone: string): Promise<string[]> {
  const args = ["for-each-ref", "--format=%(objectname)", "refs/heads", "refs/tags"];
  const tips = await git(args, { cwd: primary });
  const found = await git(["cat-file", "--batch-check"], { cwd: clone, input: `${tips}\n` });
  return found.split("\n").filter((line) => line.endsWith("missing"));
}

async function pushCommits(repository: string, count: number): Promise<void> {
  const stream = Array.from({ length: count }, (_, i) => [
    "commit refs/heads/main",
    `committer C <c@example.com> ${1_800_000_000 + i} +0000`,
    "data 4\nnew",
    ...(i === 0 ? ["from refs/heads/main^0"] : []),
    `M 100644 inline docs/new-${i}.txt`,
    `data 6\nnew ${i}`,
    "",
  ]).flat();
  await git(["fast-import", "--quiet"], { cwd: repository, input: `${stream.join("\n")}\n` });
}
