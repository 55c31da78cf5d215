/**
 * `npm run package`: makes nearside-<version>.tgz, which runs wherever Node is, without a checkout and without dependencies.
 * Bundled, since Node strips no types below node_modules:
 *
 *   bin/nearside.js                  the command
 *   cli/nearside.mjs, cli/*.mjs      a chunk for each command, loaded when it runs; index-worker.mjs beside them
 *   deploy/app.mjs                   the CDK app; asks for aws-cdk-lib and constructs in the folder that it is started in
 *   deploy/<function>/index.mjs      the functions that it deploys
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build, type Plugin } from "esbuild";
import packageJson from "../package.json" with { type: "json" };
import {
  BUNDLE_OPTIONS,
  bundleFunction,
  FUNCTION_NAMES,
  FUNCTION_SOURCES,
  HTTP_WITHOUT_FETCH,
  PROJECT_FOLDER,
} from "./bundle.ts";

/** As of `BUNDLE_OPTIONS`. Node 22 runs the package as well, with a warning about node:sqlite; no test does. */
const MIN_NODE_MAJOR = 24;

const OPTIONS = {
  ...BUNDLE_OPTIONS,
  sourcemap: false,
  legalComments: "none", // See THIRD-PARTY-LICENSES.
  metafile: true,
} as const;

/**
 * @param outputFolder - Exists.
 * @returns The path of the tarball.
 */
export async function makePackage(outputFolder: string): Promise<string> {
  const staged = await mkdtemp(join(tmpdir(), "nearside-package-"));
  try {
    const inputs = [...(await stageCli(staged)), ...(await bundleDeployment(staged))];
    await writeFile(join(staged, "THIRD-PARTY-LICENSES"), await licensesOf(inputs));
    for (const name of ["README.md", "CHANGELOG.md", "LICENSE", "docs"])
      await cp(join(PROJECT_FOLDER, name), join(staged, name), { recursive: true });
    await run("npm", ["pack", "--silent", "--offline", "--pack-destination", resolve(outputFolder)], staged);
  } finally {
    await rm(staged, { recursive: true });
  }
  return join(outputFolder, `${packageJson.name}-${packageJson.version}.tgz`);
}

/** Makes `bin/nearside.js` and what it needs. @returns Paths of the bundled files, relative to the project. */
export async function stageCli(staged: string): Promise<string[]> {
  const { metafile } = await build({
    ...OPTIONS,
    splitting: true,
    // Not VERSION_ONLY: `nearside deploy` reads versions of other packages from package.json.
    plugins: [HTTP_WITHOUT_FETCH],
    entryPoints: { nearside: "functions/nearside.ts", "index-worker": "lib/indexer/index-worker.ts" },
    // All in one folder: a chunk starts the worker from the file beside it.
    chunkNames: "[name]-[hash]",
    outdir: join(staged, "cli"),
  });
  await mkdir(join(staged, "bin"));
  await writeFile(join(staged, "bin", "nearside.js"), STARTER, { mode: 0o755 });
  await writeFile(join(staged, "package.json"), `${JSON.stringify(manifest(), undefined, 2)}\n`);
  return Object.keys(metafile.inputs);
}

async function bundleDeployment(staged: string): Promise<string[]> {
  const folder = join(staged, "deploy");
  const inputs = await Promise.all(
    FUNCTION_NAMES.map((name) =>
      bundleFunction(FUNCTION_SOURCES[name], join(folder, name), { sourcemap: false }),
    ),
  );
  const { metafile } = await build({
    ...OPTIONS,
    entryPoints: { app: "infra/app.ts" },
    outdir: folder,
    external: ["esbuild"],
    plugins: [fromCurrentFolder(/^(aws-cdk-lib|constructs)(\/|$)/)],
  });
  return [...inputs.flat(), ...Object.keys(metafile.inputs)];
}

/** Packages that are loaded from the folder in which the program is started: the package itself may be in a cache of npx. */
function fromCurrentFolder(filter: RegExp): Plugin {
  const namespace = "current-folder";
  const contents = (path: string) => `
    const { createRequire } = require("node:module");
    module.exports = createRequire(process.cwd() + "/")(${JSON.stringify(path)});`;
  return {
    name: namespace,
    setup({ onResolve, onLoad }) {
      onResolve({ filter }, ({ path }) => ({ path, namespace }));
      onLoad({ filter: /^/, namespace }, ({ path }) => ({ contents: contents(path), loader: "js" }));
    },
  };
}

const STARTER = `#!/usr/bin/env node
import { setFlagsFromString } from "node:v8";
// See SERVING_NODE_OPTIONS in infra/bundle.ts.
setFlagsFromString("--semi-space-growth-factor=1");
if (Number.parseInt(process.versions.node, 10) >= ${MIN_NODE_MAJOR}) {
  await import("../cli/nearside.mjs");
} else {
  process.stderr.write(\`nearside: needs Node ${MIN_NODE_MAJOR} or newer, and this is \${process.version}\\n\`);
  process.exit(1);
}
`;

function manifest() {
  const { name, version, description, license, type } = packageJson;
  return {
    ...{ name, version, description, license, type },
    engines: { node: `>=${MIN_NODE_MAJOR}` },
    bin: { nearside: "bin/nearside.js" },
  };
}

/** @param inputs - Paths of bundled files, relative to the project. */
async function licensesOf(inputs: readonly string[]): Promise<string> {
  const folders = inputs.map((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  const texts: string[] = [];
  for (const folder of [...new Set(folders)].sort()) {
    if (folder === undefined) continue;
    const path = join(PROJECT_FOLDER, folder);
    const { name, version, license } = JSON.parse(await readFile(join(path, "package.json"), "utf8"));
    const files = (await readdir(path)).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
    const contents = await Promise.all(files.map((file) => readFile(join(path, file), "utf8")));
    texts.push([`${name} ${version} (${license})`, ...contents.map((text) => text.trim())].join("\n\n"));
  }
  return `The files in cli/ and deploy/ contain these packages.\n\n${texts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const child = spawn(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
  const [exitCode] = await once(child, "exit");
  if (exitCode !== 0) throw new Error(`${command} ${args[0]} ended with ${exitCode}`);
}

if (import.meta.main) process.stdout.write(`${await makePackage(".")}\n`);
