/**
 * Every command line of the documents is run here, run by another test, or known to need what no test has. A new line without a row
 * fails, and so does a row without a line.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { documentLines, takesMirror } from "../support/document-lines.ts";

interface Row {
  /** Of whole lines, without comments. */
  readonly line: RegExp;
  /** By the shell, or as a command of ours with options added that keep it off the network. */
  readonly here?: "shell" | readonly string[];
  /** A file with a test, or of CI, that runs it: the line's words are looked for in one of its commands. */
  readonly in?: string;
  readonly needs?: "AWS" | "Bitbucket" | "root and Docker";
}

const ROWS: readonly Row[] = [
  { line: /^npm ci && npm start$/, in: "test/interop/server-stop.test.ts" },
  { line: /^npm ci && npm test$/, in: ".ci/run" },
  { line: /^npx --yes \.\/nearside-\S+\.tgz demo$/, in: "test/infra/package.test.ts" },
  { line: /^npm start( -- --(repository|workspace) \S+)?$/, needs: "Bitbucket" },
  { line: /^export (BITBUCKET|NEARSIDE|AWS)_\w+=.*$/, here: "shell" },
  { line: /^npx nearside connect acme --credential acme-bot$/, here: ["--no-check"] },
  { line: /^npx nearside select acme --project CORE .*$/, here: ["--no-check"] },
  { line: /^npx nearside status --watch$/, in: "test/interop/cli-repositories.test.ts" },
  { line: /^npx nearside sync acme$/, in: "test/interop/cli-queue.test.ts" },
  { line: /^npx nearside relay add \S+ --secret ci$/, here: [] },
  { line: /^npx nearside relay add \S+ --store s3:.*$/, in: "test/interop/cli-doctor.test.ts" },
  { line: /^npx nearside (deploy( --plan)?|doctor --.*)$/, needs: "AWS" },
  { line: /^npx nearside reconnect .* --store s3:.*$/, needs: "AWS" },
  { line: /^git config --global .*$/, here: "shell" },
  { line: /^echo '\{\}' > nearside\.config\.json$/, here: "shell" },
  { line: /^npx cdk synth --quiet$/, in: ".ci/run" },
  { line: /^npx cdk bootstrap$/, needs: "AWS" },
  { line: /^(old=\$\()?aws .*$/, needs: "AWS" },
  // For a deploy.
  { line: /^version=\$\(uuidgen\)$/, needs: "AWS" },
  { line: /^new=\$\(openssl rand -hex 32\)$/, here: "shell" },
  { line: /^docker (build|run) .*$/, needs: "root and Docker" },
  { line: /^npm run package && .*$/, needs: "root and Docker" },
  { line: /^(install -[Dd]|systemctl|echo '\{\}' > \/etc).*$/, needs: "root and Docker" },
  { line: /^npm run bench -- .*$/, in: ".ci/run" },
  { line: /^npm run fake-bitbucket -- .*$/, in: "test/interop/fake-bitbucket-rest.test.ts" },
  { line: /^NEARSIDE_RIC=.*$/, in: ".ci/run" },
  { line: /^test\/support\/radosgw\/run-contract\.sh .*$/, in: ".ci/run" },
];

const lines = documentLines();
const folder = mkdtempSync(join(tmpdir(), "nearside-documents-"));

afterAll(() => rmSync(folder, { recursive: true }));

const rowsOf = (line: string) => ROWS.filter((row) => row.line.test(line));

test("each line is run with a mirror, or has one row, and each row has a line", () => {
  expect(lines.length).toBeGreaterThan(50);
  const counts = lines.map((line) => [line, rowsOf(line).length + (takesMirror(line) ? 1 : 0)]);
  expect(counts.filter(([, count]) => count !== 1)).toEqual([]);
  expect(ROWS.filter((row) => !lines.some((line) => row.line.test(line)))).toEqual([]);
  for (const { here, in: file, needs } of ROWS)
    expect([here, file, needs].filter((one) => one !== undefined)).toHaveLength(1);
});

/** A script has the line's beginning, up to what is the reader's; a test has the words of our command among its arguments. */
function runs(file: string, line: string): boolean {
  const text = readFileSync(file, "utf8");
  if (!file.endsWith(".ts"))
    return line
      .split(" && ")
      .every((part) => text.includes(part.replace(/( --repo| --table)?[ )]*[<$][^(].*$/, "")));
  const [, command = ""] = /(?:npx (?:nearside|--yes \S+)|npm(?: run \S+ --)?) ([^&]*)$/.exec(line) ?? [];
  const words = command.split(" ").filter((word) => /^-{0,2}[a-z][a-z-]*$/.test(word) && word !== "--store");
  const commands = [...text.matchAll(/\[[^[\]]*\]/g)].map(([list]) => list);
  return words.length > 0 && commands.some((list) => words.every((word) => list.includes(`"${word}"`)));
}

test.each(lines.flatMap((line) => rowsOf(line).flatMap(({ in: file }) => (file ? [[line, file]] : []))))(
  "%s is run by %s",
  (line, file) => expect(runs(file ?? "", line ?? "")).toBe(true),
);

test("a line that no file runs is found", () => {
  expect(runs(".ci/run", "npx cdk synth --verbose")).toBe(false);
  expect(runs("test/interop/cli-queue.test.ts", "npx nearside sync acme --no-such-option")).toBe(false);
});

const inShell = lines.filter((line) => rowsOf(line)[0]?.here === "shell");
test.each([...new Set(inShell)])("the shell runs: %s", (line) => {
  const env = { PATH: process.env["PATH"] ?? "", HOME: folder };
  execFileSync("sh", ["-euc", line], { cwd: folder, env: { ...env, GIT_CONFIG_NOSYSTEM: "1" } });
});

test("our own commands run in their order, over an empty store", async () => {
  const ran = new Set<string>();
  for (const line of lines) {
    const [row] = rowsOf(line);
    if (!Array.isArray(row?.here) || ran.has(line)) continue;
    ran.add(line);
    // The shell splits words and takes quotation marks away.
    const words = execFileSync("sh", ["-fc", `printf '%s\\n' ${line}`], { encoding: "utf8" })
      .trim()
      .split("\n");
    const args = [...words.slice(2), ...row.here, "--store", join(folder, "store")];
    const result = await runCli(args, { NEARSIDE_SECRET_RELAY_CI: "a-relay-secret-of-tests" });
    expect([line, result]).toEqual([line, expect.objectContaining({ exitCode: 0, stderr: "" })]);
  }
  expect(ran.size).toBe(3);
});
