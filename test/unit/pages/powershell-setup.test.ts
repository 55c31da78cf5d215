/** `/-/setup.ps1`, as far as its text shows: PowerShell itself is in docs/unverified.md. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { setupScript } from "../../../lib/pages/client-setup.ts";
import { powershellSetup } from "../../../lib/pages/powershell-setup.ts";

const SETUPS = [
  { mirrorUrl: "https://mirror.example.com", primaryUrl: "https://bitbucket.org" },
  { mirrorUrl: "http://mirror.example:8080/it's ü$(x)`y/", primaryUrl: "https://bitbucket.example" },
];

/** The texts between `@'` and `'@`, each with its end of line. */
function hereStrings(script: string): string[] {
  return [...script.matchAll(/@'\n([\s\S]*?)\n'@/g)].map(([, text]) => `${text}\n`);
}

function shellLines(script: string, ...options: string[]): string {
  const out = execFileSync("sh", ["-s", "--", "--dry-run", ...options], {
    input: script,
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent" },
  });
  return out.slice(out.indexOf("\n") + 1);
}

test.each(SETUPS)("setup.ps1 has the lines and the marks of setup.sh: %j", (setup) => {
  const [shell, script] = [setupScript(setup), powershellSetup(setup)];
  const lines = hereStrings(script);
  expect(lines).toHaveLength(5);
  const all = shellLines(shell, "--ssh", "--fast", "--credential", "--username=you");
  expect(lines.join("").replaceAll("{username}", "you")).toBe(all);
  expect(shellLines(shell)).toBe(lines[0]);
  for (const mark of ["begin", "end"]) {
    const ofShell = new RegExp(`^${mark}='(.*)'$`, "m").exec(shell)?.[1];
    expect(script).toContain(`$${mark} = '${ofShell}'\n`);
  }
});

test.each(SETUPS)("it is ASCII, and no address ends a text or runs as a command: %j", (setup) => {
  const script = powershellSetup(setup);
  expect(script).toMatch(/^[\t\n\x20-\x7e]+$/);
  // Without here-strings and comments, quotes and brackets are even.
  const code = script.replace(/@'\n[\s\S]*?\n'@/g, "''").replace(/^\s*#.*$/gm, "");
  for (const [open, close] of ["()", "{}", "[]"])
    expect([open, code.split(open ?? "").length]).toEqual([open, code.split(close ?? "").length]);
  for (const line of code.split("\n")) expect([line, line.split("'").length % 2]).toEqual([line, 1]);
  expect(script + setupScript(setup)).not.toContain("$(x)");
});

test("a username that is none is refused by setup.sh, and by the pattern of setup.ps1", () => {
  const [setup] = SETUPS;
  if (setup === undefined) return;
  const script = powershellSetup(setup);
  const pattern = /-cnotmatch '(.*)'\)/.exec(script)?.[1] ?? "";
  for (const [name, isName] of [
    ["you", true],
    ["you%40example.com", true],
    ["", false],
    ["a/b", false],
    ["$(id)", false],
    ["a&b", false],
    ["a b", false],
  ] as const) {
    expect([name, new RegExp(pattern).test(name)]).toEqual([name, isName]);
    const run = () => shellLines(setupScript(setup), `--username=${name}`);
    if (isName) expect(run()).toContain(`https://${name}@bitbucket.org/`);
    else expect(run).toThrow("not a username");
  }
});
