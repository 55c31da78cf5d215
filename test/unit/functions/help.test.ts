/** What `--help` prints. */
import { afterEach, expect, test, vi } from "vitest";
import { wrapHelp } from "../../../functions/cli/help-text.ts";
import { nearsideProgram, runNearside } from "../../../functions/cli/program.ts";

afterEach(() => void vi.restoreAllMocks());

async function run(...argv: string[]): Promise<{ code: number; out: string; errors: string }> {
  const said = { out: "", errors: "" };
  const into = (name: "out" | "errors") => (text: string | Uint8Array) => {
    said[name] += String(text);
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(into("out"));
  vi.spyOn(process.stderr, "write").mockImplementation(into("errors"));
  return { code: await runNearside(argv), ...said };
}

test("the help of each command takes 80 columns where there is no terminal", async () => {
  // With this one all commands are loaded.
  const { commands } = await nearsideProgram("completion");
  const helps = commands.flatMap((one) => [
    [one.name()],
    ...one.commands.map((part) => [one.name(), part.name()]),
  ]);
  expect(helps.length).toBeGreaterThan(25);
  for (const names of [[], ...helps]) {
    const { code, out } = await run(...names, "--help");
    vi.restoreAllMocks();
    expect(code).toBe(0);
    expect(out).toContain("Usage: nearside");
    const wide = out.split("\n").filter((line) => line.length > 80 && /\S\s+\S/.test(line.trim()));
    expect(wide, names.join(" ")).toEqual([]);
  }
}, 60_000);

test("paragraphs are filled, and lines with columns continue in theirs", () => {
  const text = `
Words that go over the width of a line
and continue. Ends.
Next:
  --one   explained in more words than fit
  some command that is rather long too`;
  expect(wrapHelp(text, 30)).toBe(`
Words that go over the width
of a line and continue. Ends.
Next:
  --one   explained in more
          words than fit
  some command that is
    rather long too`);
});

test.each([
  [["--large", "acme/big"], "--large needs --deployment"],
  [["--former", "acme/old"], "--former needs --deployment"],
  [["--changes"], "--changes needs --deployment"],
  [["--deployment", "acme/app"], "--deployment needs --mirror-url"],
  [["--deployment", "acme", "--mirror-url", "https://mirror.example"], "Expected <workspace/repository>"],
  [["--deployment", "acme/", "--mirror-url", "https://mirror.example"], "Expected <workspace/repository>"],
])("doctor %j is refused", async (argv, message) => {
  const { code, errors, out } = await run("doctor", ...argv);
  expect(errors).toContain(message);
  expect([code, out]).toEqual([2, ""]);
});

test.each(["status", "doctor"])("%s: its help names the envelope of --json", async (name) => {
  expect((await run(name, "--help")).out.replace(/\s+/g, " ")).toContain(
    "{schema, version, timestamp, data}",
  );
});
