/** The package, installed from its tarball into an empty folder, without network and without npm's cache. */
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makePackage } from "../../infra/package.ts";
import packageJson from "../../package.json" with { type: "json" };
import { git } from "../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

const PROJECT_FOLDER = fileURLToPath(new URL("../..", import.meta.url));
const RECORDER = new URL("../support/record-modules.ts", import.meta.url).href;
const VERSION_LINE = `nearside/${packageJson.version}\n`;

let folder: TemporaryFolder;
let tarball: string;
let installed: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  tarball = await makePackage(folder.path);
  const project = join(folder.path, "project");
  await mkdir(project);
  await runNpm("npm-cli.js", ["install", "--no-audit", "--no-fund", "--prefix", project, tarball]);
  installed = join(project, "node_modules", "nearside");
});

afterAll(() => folder.remove());

/** npm's and npx's scripts run with this Node, whichever is first in the path. */
async function runNpm(script: "npm-cli.js" | "npx-cli.js", args: readonly string[]): Promise<string> {
  const programs = (process.env["PATH"] ?? "").split(delimiter).map((path) => join(path, "npm"));
  const npm = programs.find((path) => existsSync(path)) ?? "npm";
  const program = join(dirname(await realpath(npm)), script);
  const { stdout } = await promisify(execFile)(process.execPath, [program, "--offline", ...args], {
    cwd: folder.path,
    env: environment({ npm_config_cache: join(folder.path, "npm-cache") }),
  });
  return stdout;
}

function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const path = [dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter);
  return { PATH: path, HOME: join(folder.path, "home"), ...more };
}

async function nearside(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const program = join(installed, "bin", "nearside.js");
  return promisify(execFile)(process.execPath, [program, ...args], {
    cwd: folder.path,
    env: environment(env),
  });
}

test("npx runs the tarball in an empty folder", async () => {
  expect(await runNpm("npx-cli.js", ["--yes", `./${basename(tarball)}`, "--version"])).toBe(VERSION_LINE);
});

test("npm installs it for all folders, as the command nearside", async () => {
  const prefix = join(folder.path, "prefix");
  await runNpm("npm-cli.js", ["install", "--global", "--no-audit", "--no-fund", "--prefix", prefix, tarball]);
  const { stdout } = await promisify(execFile)(join(prefix, "bin", "nearside"), ["--version"], {
    cwd: folder.path,
    env: environment(),
  });
  expect(stdout).toBe(VERSION_LINE);
});

test("it has no dependencies, and takes less than 15 MB", async () => {
  const manifest = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
  expect(Object.keys(manifest).filter((name) => /dependencies|scripts/i.test(name))).toEqual([]);
  let bytes = 0;
  for (const entry of await readdir(installed, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  expect(bytes).toBeLessThan(15_000_000);
  expect(existsSync(join(installed, "node_modules"))).toBe(false);
});

test("every bundled package has its licence in THIRD-PARTY-LICENSES", async () => {
  const text = await readFile(join(installed, "THIRD-PARTY-LICENSES"), "utf8");
  for (const name of ["commander", "zod", "pino", "isomorphic-git", "@aws-sdk/client-s3"])
    expect(text).toMatch(new RegExp(`^${name} [0-9.]+ \\(.+\\)\\n\\n`, "m"));
});

test.each([
  { args: ["--version"], maxBytes: 100_000 },
  { args: ["clone", "--help"], maxBytes: 240_000 },
])("$args loads $maxBytes bytes at most", async ({ args, maxBytes }) => {
  const record = join(folder.path, `modules-${args[0]}`);
  await nearside(args, { NODE_OPTIONS: `--import=${RECORDER}`, RECORDED_MODULES: record });
  const urls = readFileSync(record, "utf8").trim().split("\n");
  const files = urls.filter((url) => url.includes("/nearside/cli/")).map((url) => fileURLToPath(url));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  expect(sizes.length).toBeGreaterThan(1);
  expect(sizes.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(maxBytes);
});

test("all commands explain themselves", async () => {
  const { stdout } = await nearside(["--help"]);
  const list = stdout.split("Commands:")[1]?.split("\n\n")[0] ?? "";
  const names = [...list.matchAll(/^ {2}([a-z-]+) .*/gm)].map(([, name = ""]) => name);
  const commands = names.filter((name) => name !== "help");
  expect(commands).toEqual(expect.arrayContaining(["serve", "demo", "connect", "doctor"]));
  const helps = await Promise.all(commands.map((name) => nearside([name, "--help"])));
  helps.forEach(({ stdout: help }, index) => {
    expect(help).toContain(`Usage: nearside ${commands[index]}`);
  });
});

test("nearside demo serves a clone", async () => {
  const program = join(installed, "bin", "nearside.js");
  const demo = spawn(process.execPath, [program, "demo", "--json", "--port", "0", "demo-folder"], {
    cwd: folder.path,
    env: environment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    let output = "";
    for await (const chunk of demo.stdout.setEncoding("utf8")) {
      output += chunk;
      if (output.includes("\n")) break;
    }
    const { repositories } = JSON.parse(output).data;
    const clone = join(folder.path, "clone");
    await git(["clone", "--quiet", repositories[0].cloneUrl, clone]);
    expect(await git(["rev-list", "--count", "HEAD"], { cwd: clone })).toMatch(/^\d+$/);
    expect(await readdir(join(folder.path, "demo-folder"))).toEqual(["primary", "store"]);
  } finally {
    demo.kill();
  }
});

test("its CDK app describes the stacks, with aws-cdk-lib from the folder that it runs in", async () => {
  const cwd = join(folder.path, "deployment");
  const output = join(folder.path, "cdk.out");
  await mkdir(cwd);
  const app = join(installed, "deploy", "app.mjs");
  const env = environment({ CDK_OUTDIR: output });
  const synthesize = () => promisify(execFile)(process.execPath, [app], { cwd, env });
  await expect(synthesize()).rejects.toThrow("Cannot find module 'aws-cdk-lib'");
  const { dependencies, devDependencies } = packageJson;
  const settings = join(cwd, "nearside.config.json");
  await writeFile(settings, "{}");
  await expect(nearside(["deploy", "--plan", "--config", settings])).rejects.toThrow(
    `npm install aws-cdk@${devDependencies["aws-cdk"]} aws-cdk-lib@${dependencies["aws-cdk-lib"]} constructs@${dependencies.constructs}`,
  );

  await symlink(join(PROJECT_FOLDER, "node_modules"), join(cwd, "node_modules"));
  await rm(settings);
  expect((await synthesize()).stderr).toContain("nearside.config.json is missing");
  for (const name of ["Nearside-Storage", "Nearside-Service"]) {
    const { Parameters } = JSON.parse(await readFile(join(output, `${name}.template.json`), "utf8"));
    // AWS's CLI and CloudFormation refuse a deployment that gives it no value.
    expect(Parameters.SettingsFileIsMissing).toEqual({ Type: "String", Description: expect.anything() });
  }
  await writeFile(settings, "{}");
  expect((await synthesize()).stderr).toContain("accepts requests from any address");
  const template = JSON.parse(await readFile(join(output, "Nearside-Service.template.json"), "utf8"));
  expect(template.Parameters).not.toHaveProperty("SettingsFileIsMissing");
  const types = Object.values(template.Resources as Record<string, { Type: string }>).map(({ Type }) => Type);
  expect(types.filter((type) => type === "AWS::Lambda::Function").length).toBeGreaterThanOrEqual(7);
});
