/**
 * Bundles a function into a folder that Lambda runs as it is: `index.mjs`, its source map, and beside it one file for
 * each worker thread that the function's code starts. The deployment and the tests use the same bundle.
 */
import { readFile, rm } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";

const PROJECT_FOLDER = resolve(import.meta.dirname, "..");

export interface BundleRequest {
  /** The module that exports `handler`. */
  readonly entryFile: string;
  /** Emptied first. */
  readonly outputFolder: string;
}

export async function bundleFunction({ entryFile, outputFolder }: BundleRequest): Promise<void> {
  await rm(outputFolder, { recursive: true, force: true });
  const workers = new Map<string, string>();
  await build({
    ...OPTIONS,
    entryPoints: { index: entryFile },
    outdir: outputFolder,
    plugins: [workerFiles(workers)],
  });
  if (workers.size === 0) return;
  await build({ ...OPTIONS, entryPoints: Object.fromEntries(workers), outdir: outputFolder });
}

const OPTIONS = {
  absWorkingDir: PROJECT_FOLDER,
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  outExtension: { ".js": ".mjs" },
  // Packages with an ES module form are smaller when it is taken.
  mainFields: ["module", "main"],
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: "linked",
  sourcesContent: false,
  logLevel: "warning",
  // Bundled CommonJS packages call `require` for Node's own modules.
  banner: {
    js: 'import { createRequire as createRequireForBundle } from "node:module"; const require = createRequireForBundle(import.meta.url);',
  },
} satisfies BuildOptions;

/** How the project names a worker thread's file: `new URL("./index-worker.ts", import.meta.url)`. */
const WORKER_URL = /new URL\("(\.\/(?:[a-z-]+\/)*([a-z-]+-worker))\.ts", import\.meta\.url\)/g;

/** Points each worker's URL at the bundled file and notes the worker in `found`: bundled name to source file. */
function workerFiles(found: Map<string, string>): Plugin {
  return {
    name: "worker-files",
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]lib[\\/].*\.ts$/ }, async ({ path }) => {
        const source = await readFile(path, "utf8");
        const contents = source.replace(WORKER_URL, (_url, relativePath: string) => {
          const name = basename(relativePath);
          found.set(name, resolve(dirname(path), `${relativePath}.ts`));
          return `new URL("./${name}.mjs", import.meta.url)`;
        });
        return { contents, loader: "ts" };
      });
    },
  };
}
