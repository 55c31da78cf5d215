/**
 * Every command line of the documents is run here, run by another test, or known to need what no test has. A new line without a row
 * fails, and so does a row without a line.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, expect, test } from "vitest";
import { nearsideProgram } from "../../functions/cli/program.ts";
import { runCli } from "../support/cli.ts";
import { documentCommands, documentLines, takesMirror } from "../support/document-lines.ts";

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
  { line: /^npm install --global \.\/nearside-\S+\.tgz$/, in: "test/infra/package.test.ts" },
  { line: /^git clone http:\/\/x-bitbucket-api-token-auth@\S+$/, needs: "Bitbucket" },
  { line: /^nearside serve( --(repository|workspace) \S+)?$/, needs: "Bitbucket" },
  { line: /^export (BITBUCKET|NEARSIDE|AWS)_\w+=.*$/, here: "shell" },
  { line: /^nearside connect acme --credential acme-bot$/, here: ["--no-check"] },
  { line: /^nearside select acme --project CORE (?!.*s3:).*$/, here: ["--no-check"] },
  { line: /^nearside status --watch$/, in: "test/interop/cli-repositories.test.ts" },
  { line: /^nearside sync acme$/, in: "test/interop/cli-queue.test.ts" },
  { line: /^nearside relay add \S+ --secret ci$/, here: [] },
  { line: /^nearside relay add \S+ --store s3:.*$/, in: "test/interop/cli-doctor.test.ts" },
  { line: /^nearside (deploy( --plan)?|doctor --.*)$/, needs: "AWS" },
  { line: /^nearside (reconnect|connect|select|status) .*--store s3:.*$/, needs: "AWS" },
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
  const [, command = ""] = /(?:(?:nearside|npx --yes \S+)|npm(?: run \S+ --)?) ([^&]*)$/.exec(line) ?? [];
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
  expect(runs("test/interop/cli-queue.test.ts", "nearside sync acme --no-such-option")).toBe(false);
});

/** @returns What the real program says against it, without running it. */
async function faultsOf(words: readonly string[], isWhole: boolean): Promise<string[]> {
  const [name = "", ...more] = words;
  let command = (await nearsideProgram(name)).commands.find((one) => one.name() === name);
  if (command === undefined) return [`no command ${name}`];
  let rest = more;
  while (command.commands.length > 0 && rest.length > 0) {
    const next: Command | undefined = command.commands.find((one) => one.name() === rest[0]);
    if (next === undefined) return [`no command ${name} ${rest[0]}`];
    command = next;
    rest = rest.slice(1);
  }
  if (rest.includes("--help")) return [];
  // Within a paragraph an option may stand without its value.
  if (!isWhole && rest.length === 1 && rest[0]?.startsWith("--"))
    return command.options.some(({ long }) => long === rest[0]) ? [] : [`no option ${rest[0]}`];
  try {
    const { operands, unknown } = command.parseOptions(rest);
    const { registeredArguments: known } = command;
    const isLong = operands.length > known.length && !known.some(({ variadic }) => variadic);
    const isShort = isWhole && operands.length < known.filter(({ required }) => required).length;
    const lacking = command.options.filter(
      (one) => one.mandatory && command?.getOptionValue(one.attributeName()) === undefined,
    );
    return [
      ...unknown.map((one) => `no option ${one}`),
      ...(isLong ? [`too many arguments: ${operands.join(" ")}`] : []),
      ...(isShort ? ["an argument is missing"] : []),
      ...(isWhole ? lacking.map(({ flags }) => `without ${flags}`) : []),
    ];
  } catch (error) {
    return [String(error)];
  }
}

test("the real program knows every command and option of the documents, also of those that need AWS or Bitbucket", async () => {
  const commands = documentCommands();
  expect(commands.filter(({ isWhole }) => isWhole).length).toBeGreaterThan(20);
  expect(commands.length).toBeGreaterThan(80);
  const faults: string[] = [];
  for (const { words, isWhole } of commands)
    for (const fault of await faultsOf(words, isWhole)) faults.push(`nearside ${words.join(" ")}: ${fault}`);
  expect(faults).toEqual([]);
});

test.each([
  ["deploy --no-such-option", "no option --no-such-option"],
  ["no-such-command", "no command no-such-command"],
  ["relay no-such-part", "no command relay no-such-part"],
  ["pause", "an argument is missing"],
  ["pause acme more", "too many arguments: acme more"],
  ["wait acme/website main", "without --mirror-url <url>"],
  ["doctor --queue-url nonsense", "CommanderError: error: option '--queue-url <url>'"],
])("a wrong line is found: %s", async (line, fault) => {
  expect((await faultsOf(line.split(" "), true)).join("\n")).toContain(fault);
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
    const args = [...words.slice(1), ...row.here, "--store", join(folder, "store")];
    const result = await runCli(args, { NEARSIDE_SECRET_RELAY_CI: "a-relay-secret-of-tests" });
    expect([line, result]).toEqual([line, expect.objectContaining({ exitCode: 0, stderr: "" })]);
  }
  expect(ran.size).toBe(3);
});
