/**
 * Every command line of the documents is run here, run by another test, or known to need what no test has. A new line without a row
 * fails, and so does a row without a line.
 */
import { execFileSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";

interface Row {
  /** Of whole lines, without comments. */
  readonly line: RegExp;
  /** By the shell, or as a command of ours with options added that keep it off the network. */
  readonly here?: "shell" | readonly string[];
  /** A test that runs it, and words of that test. */
  readonly test?: readonly [file: string, words: string];
  readonly needs?: "AWS" | "Bitbucket" | "a mirror at mirror.example.com" | "root and Docker";
}

const ROWS: readonly Row[] = [
  { line: /^npm ci && npm start$/, test: ["test/infra/package.test.ts", "nearside demo serves a clone"] },
  { line: /^npm ci && npm test$/, test: ["package.json", '"test":'] },
  { line: /^npx --yes \.\/nearside-\S+\.tgz demo$/, test: ["test/measure/bare-debian.sh", "demo --json"] },
  { line: /^npm start( -- --(repository|workspace) \S+)?$/, needs: "Bitbucket" },
  { line: /^export (BITBUCKET|NEARSIDE|AWS)_\w+=.*$/, here: "shell" },
  { line: /^npx nearside connect acme --credential acme-bot$/, here: ["--no-check"] },
  { line: /^npx nearside select acme --project CORE .*$/, here: ["--no-check"] },
  {
    line: /^npx nearside status --watch$/,
    test: ["test/interop/cli-repositories.test.ts", '"--watch", "1"'],
  },
  { line: /^npx nearside sync acme$/, test: ["test/interop/cli-workspace.test.ts", '"sync"'] },
  { line: /^npx nearside relay add \S+ --secret ci$/, here: [] },
  {
    line: /^npx nearside relay add \S+ --store s3:.*$/,
    test: ["test/interop/cli-relay.test.ts", "--secret-path"],
  },
  { line: /^npx nearside (deploy( --plan)?|doctor --.*)$/, needs: "AWS" },
  { line: /^npx nearside reconnect .* --store s3:.*$/, needs: "AWS" },
  { line: /^curl -fsSO \S+\/-\/setup\.sh( && .*)?$/, needs: "a mirror at mirror.example.com" },
  { line: /^sh setup\.sh( --\S+)?$/, test: ["test/interop/setup-script.test.ts", '"--undo"'] },
  { line: /^git -c http\.\S+extraHeader=.*$/, needs: "a mirror at mirror.example.com" },
  { line: /^curl -fsS -H .*\/wait\?.*$/, needs: "a mirror at mirror.example.com" },
  { line: /^git config --global .*$/, here: "shell" },
  { line: /^echo '\{\}' > nearside\.config\.json$/, here: "shell" },
  { line: /^npx cdk synth --quiet$/, test: [".ci/run", "synth"] },
  { line: /^npx cdk bootstrap$/, needs: "AWS" },
  { line: /^(old=\$\()?aws .*$/, needs: "AWS" },
  // For a deploy.
  { line: /^version=\$\(uuidgen\)$/, needs: "AWS" },
  { line: /^new=\$\(openssl rand -hex 32\)$/, here: "shell" },
  { line: /^docker (build|run) .*$/, needs: "root and Docker" },
  { line: /^npm run package && .*$/, needs: "root and Docker" },
  { line: /^(install -[Dd]|systemctl|echo '\{\}' > \/etc).*$/, needs: "root and Docker" },
  { line: /^npm run bench -- .*$/, test: [".ci/run", "npm run bench"] },
  { line: /^npm run fake-bitbucket -- .*$/, test: ["test/interop/fake-bitbucket-rest.test.ts", '"--repos"'] },
  { line: /^NEARSIDE_RIC=.*$/, test: [".ci/run", "install-ric.sh"] },
  { line: /^test\/support\/radosgw\/run-contract\.sh .*$/, test: [".ci/run", "run-contract.sh"] },
];

const lines = [...globSync("*.md"), ...globSync("docs/*.md")].flatMap(commandsOf);
const folder = mkdtempSync(join(tmpdir(), "nearside-documents-"));

afterAll(() => rmSync(folder, { recursive: true }));

/** Continued lines are one; comments behind them are left out. */
function commandsOf(document: string): string[] {
  const blocks = [...readFileSync(document, "utf8").matchAll(/^```sh\n([\s\S]*?)^```$/gm)];
  return blocks.flatMap(([, block = ""]) =>
    block
      .replaceAll(/ *\\\n\s*/g, " ")
      .split("\n")
      .map((line) => line.replace(/\s+# .*$/, "").trim())
      .filter((line) => line !== "" && !line.startsWith("#")),
  );
}

const rowsOf = (line: string) => ROWS.filter((row) => row.line.test(line));

test("each line has one row, and each row a line", () => {
  expect(lines.length).toBeGreaterThan(50);
  expect(lines.map((line) => [line, rowsOf(line).length]).filter(([, count]) => count !== 1)).toEqual([]);
  expect(ROWS.filter((row) => !lines.some((line) => row.line.test(line)))).toEqual([]);
  for (const { here, test, needs } of ROWS)
    expect([here, test, needs].filter((one) => one !== undefined)).toHaveLength(1);
});

test.each(ROWS.flatMap((row) => (row.test ? [[row.line, ...row.test] as const] : [])))(
  "what runs %s is there: %s has %s",
  (_, file, words) => {
    expect(existsSync(file)).toBe(true);
    expect(readFileSync(file, "utf8")).toContain(words);
  },
);

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
