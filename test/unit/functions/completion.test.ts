/** `nearside completion`, by the shells that are there. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../../support/cli.ts";

let folder: string;
let bash: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "nearside-completion-"));
  bash = (await runCli(["completion", "bash"])).stdout;
  writeFileSync(join(folder, "a file.json"), "{}");
});

afterAll(() => rmSync(folder, { recursive: true }));

/** @param words - After `nearside`; the last one is completed. */
function completed(...words: string[]): string[] {
  const script = `${bash}\nCOMP_WORDS=(nearside "$@")\nCOMP_CWORD=$#\n_nearside\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync("bash", ["--norc", "-c", script, "bash", ...words], {
    cwd: folder,
    encoding: "utf8",
  });
  return out.split("\n").filter((line) => line !== "");
}

test.each([
  [["sel"], ["select"]],
  [["re"], ["reconcile", "resume", "remove", "reconnect", "relay"]],
  [
    ["relay", ""],
    ["add", "list", "remove", "--help"],
  ],
  [
    ["relay", "add", "--sec"],
    ["--secret", "--secret-path"],
  ],
  [["select", "acme", "--pub"], ["--public"]],
  [
    ["select", "acme", "--public", ""],
    ["mirror", "skip"],
  ],
  [
    ["serve", "--push", "re"],
    ["relay", "redirect", "refuse"],
  ],
  // The value of an option is no command.
  [["dead-letters", "list", "--config", "replay", "--js"], ["--json"]],
  [["status", "--config", ""], ["a file.json"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish", "--help"],
  ],
  [["nothing", ""], []],
])("bash completes %j", (words, expected) => {
  const answer = completed(...words);
  expect(answer).toEqual(expect.arrayContaining(expected));
  for (const word of answer) if (!word.startsWith("--")) expect(expected).toContain(word);
});

test.each(["bash", "zsh", "fish"])(
  "the script for %s has all commands, and texts are quoted",
  async (shell) => {
    const { exitCode, stdout } = await runCli(["completion", shell]);
    expect(exitCode).toBe(0);
    const names = completed("").filter((word) => !word.startsWith("--"));
    expect(names.length).toBeGreaterThan(20);
    expect(names).toContain("completion");
    for (const name of names) expect(stdout).toMatch(new RegExp(`'${name}[':]`));
  },
);

test("another shell is a wrong argument", async () => {
  expect(await runCli(["completion", "tcsh"])).toMatchObject({ exitCode: 2 });
});
