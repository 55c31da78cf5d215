/** `/-/setup.sh` on files that people and editors have changed; with git in interop/setup-script.test.ts. */
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { quotable, setupScript } from "../../../lib/pages/client-setup.ts";
import { powershellSetup } from "../../../lib/pages/powershell-setup.ts";
import { temporaryFolder } from "../../support/git/temporary-folder.ts";

const SETUP = { mirrorUrl: "https://mirror.example.com", primaryUrl: "https://bitbucket.org" };
const BEFORE = "[user]\n\tname = U\n";

async function config(text = BEFORE) {
  const folder = await temporaryFolder();
  onTestFinished(folder.remove);
  const file = join(folder.path, "gitconfig");
  await writeFile(file, text);
  const run = (args: readonly string[] = [], env: Record<string, string> = { GIT_CONFIG_GLOBAL: file }) => {
    const { status, stdout, stderr } = spawnSync("sh", ["-s", "--", ...args], {
      input: setupScript(SETUP),
      encoding: "utf8",
      env: { PATH: process.env["PATH"] ?? "", ...env },
    });
    return { status, stdout, stderr };
  };
  const edit = async (change: (text: string) => string) =>
    writeFile(file, change(await readFile(file, "utf8")));
  return { file, run, edit, text: () => readFile(file, "utf8") };
}

const crlf = (text: string) => text.replaceAll("\n", "\r\n");

test.each([
  ["with an end of line", BEFORE],
  ["without one", BEFORE.trimEnd()],
])("lines whose ends became CRLF are replaced and removed: a file %s", async (_, before) => {
  const { run, edit, text } = await config(before);
  expect(run()).toMatchObject({ status: 0, stderr: "" });
  await edit(crlf);
  expect(run(["--ssh"]).status).toBe(0);
  expect((await text()).match(/^# nearside/gm)).toHaveLength(2);
  await edit((now) => crlf(now.replaceAll("\r", "")));
  expect(run(["--undo"])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("no lines of the mirror any more"),
  });
  expect((await text()).replaceAll("\r", "")).not.toMatch(/nearside|mirror/);
  expect(await text()).toBe(crlf(before));
});

test("--undo says that it found nothing, and the next run does not add a second block where a mark is missing", async () => {
  const { run, edit, text } = await config();
  expect(run(["--undo"])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("nothing was changed"),
  });
  run();
  await edit((now) => now.replace(/^# nearside .* end\n/m, ""));
  const cut = await text();
  for (const args of [["--undo"], []])
    expect(run(args)).toMatchObject({ status: 1, stdout: "", stderr: expect.stringContaining("by hand") });
  expect(await text()).toBe(cut);
});

test("without HOME GIT_CONFIG_GLOBAL is enough, and with neither it says what to set", async () => {
  const { run, text } = await config();
  expect(run()).toMatchObject({ status: 0, stderr: "" });
  expect(await text()).toContain("insteadOf");
  for (const args of [[], ["--undo"]])
    expect(run(args, {})).toMatchObject({
      ...{ status: 2, stdout: "", stderr: "setup.sh: HOME is not set: set it, or GIT_CONFIG_GLOBAL\n" },
    });
});

test.each([
  ["https://h/my%20mirror", "https://h/my%20mirror"],
  ["https://h/my mirror/", "https://h/my%20mirror"],
  ["https://h/ü", "https://h/%C3%BC"],
  ["http://[::1]:8080/x", "http://[::1]:8080/x"],
  [`https://h/'"\\$x;#`, "https://h/%27%22/%24x%3B%23"],
  [`https://h/?'"\\$x;|\``, "https://h/?%27%22%5C%24x%3B%7C%60"],
])("%s is written as %s", (url, written) => {
  expect(quotable({ mirrorUrl: url, primaryUrl: url })).toEqual({ mirrorUrl: written, primaryUrl: written });
});

test("setup.ps1 does the same, as far as its text shows", () => {
  const script = powershellSetup(SETUP);
  expect(script).toContain("$line.TrimEnd([char] 13) -cne $end");
  expect(script).toMatch(/if \(Remove-Lines\) .*any more/);
  expect(script).toContain("nothing was changed");
});
