/** Command lines of the documents that take a mirror: each is run by a shell, as it is written but for the mirror's address. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { documentLines, takesMirror } from "../support/document-lines.ts";
import { git } from "../support/git/run-git.ts";
import { startMirror } from "../support/mirror-process.ts";
import { renameRepository, startPrimary } from "../support/primary.ts";

test("in their order, in one shell, with a token that only the environment has", async () => {
  await using stack = new AsyncDisposableStack();
  const primary = await startPrimary();
  stack.defer(() => primary.close());
  const repository = await renameRepository(primary, "website");
  const robot = { name: "robot", token: "robot-token", kind: "access-token" as const };
  primary.fake.controls.replaceAccounts({
    callers: [{ ...robot, rights: { acme: "read" } }],
    repositories: {},
  });
  const { gitUrl, apiUrl } = primary.fake;
  const mirrored = ["--workspace", "acme", "--git-url", gitUrl, "--api-url", apiUrl];
  const mirror = await startMirror(["--store", primary.storeFolder, ...mirrored], {
    env: { BITBUCKET_ACCESS_TOKEN: robot.token },
  });
  stack.defer(async () => void (await mirror.stop("SIGKILL")));
  const home = join(primary.folder, "home");
  await mkdir(home);
  // As people have one for Bitbucket, which setup.sh --credential uses.
  const system = join(primary.folder, "system-gitconfig");
  const helper = `!f() { echo username=x-token-auth; echo password=${robot.token}; }; f`;
  await git(["config", "--file", system, `credential.${gitUrl}.helper`, helper]);
  const lines = documentLines().filter(takesMirror);
  const commit = await git(["rev-parse", "main"], { cwd: repository });
  // A clone of a later line has the folder of an earlier one.
  const script = lines
    .map(
      (line) =>
        `echo "== ${line.split(" ")[0]}"\n${line.startsWith("git clone") ? "rm -rf website\n" : ""}${line}`,
    )
    .join("\n");
  const { stdout, stderr } = await promisify(execFile)(
    ...(["sh", ["-euc", script.replaceAll("https://mirror.example.com", mirror.url)]] as const),
    {
      cwd: home,
      env: {
        ...{ PATH: process.env["PATH"] ?? "", HOME: home, GIT_CONFIG_SYSTEM: system },
        ...{ GIT_TERMINAL_PROMPT: "0", MIRROR_TOKEN: robot.token, COMMIT: commit },
      },
    },
  );
  expect(stdout.match(/^== /gm)).toHaveLength(lines.length);
  expect(stdout).toContain('"verifiedAt"');
  // What was set up is taken back.
  expect(existsSync(join(home, ".gitconfig"))).toBe(false);
  expect(stderr).not.toContain("fatal");
  // Nobody else on the machine sees it.
  expect(lines.join("\n")).not.toMatch(/^(git|curl) .*\$MIRROR_TOKEN/m);
});
