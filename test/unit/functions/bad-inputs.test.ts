/** What people and systems get wrong, as the command line reports it: a line or two that say what to do, and no stack. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exitCodeOf, explain } from "../../../functions/cli/explain.ts";
import { dataOf, runCli } from "../../support/cli.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";

const CLI_FOLDER = fileURLToPath(new URL("../../../functions/cli", import.meta.url));

let folder: TemporaryFolder;

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(join(folder.path, "file"), "not a folder");
  await writeFile(join(folder.path, "typo.json"), '{"anonymus": "deny"}');
  await writeFile(join(folder.path, "cut.json"), '{"anonymous": ');
  await mkdir(join(folder.path, "broken"));
  await writeFile(join(folder.path, "broken", "config.json"), '{"formatVersion": 1, "workspaces": [}');
});

afterAll(() => folder.remove());

const QUEUE = "https://sqs.eu-west-1.amazonaws.com/1/jobs.fifo";

test.each<[readonly string[], number, string]>([
  [["status", "--store", "s3:/bucket"], 2, "must be a folder, or s3://bucket/prefix"],
  [["status", "--store", ""], 2, "must be a folder, or s3://bucket/prefix"],
  [["status", "--store", "@/store", "--s3-endpoint", "http://127.0.0.1:1"], 2, "--s3-endpoint goes with"],
  [["status", "--store", "s3://b", "--s3-endpoint", "http://127.0.0.1,127.0.0.2"], 2, "must be an address"],
  [["status", "--config", "@/none.json"], 2, "none.json cannot be read: ENOENT"],
  [["status", "--config", "@"], 2, "cannot be read: EISDIR"],
  [["status", "--config", "@/typo.json"], 2, "anonymus is not a setting"],
  [["status", "--config", "@/cut.json"], 2, "cut.json is not JSON"],
  [["status", "--store", "@/broken"], 2, "config.json"],
  [["config", "check", "--store", "@/broken"], 2, "Unexpected token '}'"],
  [["config", "check", "@/cut.json"], 2, "config.json"],
  [["config", "check", "@/none.json"], 2, "none.json cannot be read"],
  [["status", "acme", "--store", "@/new"], 2, "acme"],
  [["status", "--watch", "0"], 2, "Expected seconds"],
  [["connect", "acme", "--no-check", "--store", "@/file"], 1, "check the path"],
  [["connect", "a/b", "--no-check", "--store", "@/new"], 2, "workspace"],
  [["select", "acme", "--all", "--store", "@/new"], 2, "nearside connect acme"],
  [["sync", "--store", "@/new"], 2, "nearside connect"],
  [["sync", "--store", "@/new", "--queue-url", "jobs"], 2, "must be an address"],
  [["doctor", "--store", "@/new", "--queue-url", "jobs"], 2, "must be an address"],
  [["doctor", "--store", "@/new", "--mirror-url", "mirror.example"], 2, "must be an address"],
  [["dead-letters", "list", "--dead-letter-queue-url", "jobs"], 2, "must be an address"],
  [["dead-letters", "replay", "--queue-url", QUEUE, "--dead-letter-queue-url", QUEUE], 2, "not that of dead"],
  [["relay", "add", "hook", "--store", "@/new"], 2, "https://"],
  [["export", "acme", "--store", "@/new"], 2, "expected workspace/repository"],
  [["serve", "--store", "@/file", "--workspace", "acme", "--port", "0"], 1, "check the path"],
  // Node's own recursive mkdir would never end there.
  [["serve", "--store", "/proc/nearside/x", "--workspace", "acme", "--port", "0"], 1, "check the path"],
  [["serve", "--host", "203.0.113.77", "--workspace", "acme", "--store", "@/served"], 1, "check --host"],
  [["serve", "--port", "70000"], 2, "must be a whole number from 0 to 65535"],
  [["stauts"], 2, "unknown command 'stauts'"],
])("%j ends with %s", async (args, exitCode, text) => {
  const result = await runCli(args.map((arg) => arg.replace(/^@/, folder.path)));
  expect(result.stderr).toContain(text);
  expect(result.stderr).not.toMatch(/^ {4}at /m);
  expect(result.stderr).not.toContain("TypeError");
  expect({ exitCode: result.exitCode, stdout: result.stdout }).toEqual({ exitCode, stdout: "" });
});

test.each([
  ["EACCES", "permission"],
  ["EPERM", "permission"],
  ["EROFS", "read-only"],
  ["ENOSPC", "disk is full"],
  ["ENOTDIR", "check the path"],
  ["EADDRINUSE", "--port"],
  ["EIO", ""],
])("%s, as the system reports it, is explained without a stack", (code, text) => {
  const error = Object.assign(new Error(`${code}: refused, open 'x'`), { code, syscall: "open" });
  expect(explain(error)).toContain(text);
  expect(explain(error)).not.toContain("    at ");
  expect(exitCodeOf(error)).toBe(1);
});

test("a bug is shown with its stack", () => {
  expect(explain(new TypeError("x is not a function"))).toContain("    at ");
});

test("doctor does not create a store whose name was mistyped", async () => {
  const store = join(folder.path, "mistyped");
  const { exitCode, stdout } = await runCli(["doctor", "--store", store]);
  expect(exitCode).toBe(3);
  expect(stdout).toContain(`FAIL store: there is no folder ${store}`);
  expect(existsSync(store)).toBe(false);
});

test("--json prints JSON and nothing else, also for an empty mirror", async () => {
  const { exitCode, stdout, stderr } = await runCli([
    "status",
    "--json",
    "--store",
    join(folder.path, "new"),
  ]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(dataOf(stdout)).toEqual([]);
});

test("without npm ci it says so", async () => {
  const cli = join(folder.path, "checkout", "functions", "cli");
  await cp(CLI_FOLDER, cli, { recursive: true });
  await writeFile(join(cli, "..", "nearside.ts"), 'import "commander";\n');
  const ended = promisify(execFile)(process.execPath, [join(cli, "nearside.js"), "--version"]);
  await expect(ended).rejects.toMatchObject({
    code: 1,
    stderr: "nearside: the package commander is missing: run npm ci in the checkout [DEPENDENCIES]\n",
  });
});

test("a reader that leaves early is no error", async () => {
  const program = join(CLI_FOLDER, "nearside.js");
  const { stderr } = await promisify(execFile)("sh", [
    "-c",
    `"$0" "$1" serve --help | true`,
    process.execPath,
    program,
  ]);
  expect(stderr).toBe("");
});
