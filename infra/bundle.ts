/**
 * Bundles a function into a folder that Lambda runs as it is: `index.mjs`, and beside it one file for each worker thread
 * that the function's code starts, under the worker's own name. The deployment and the tests use the same bundles.
 */
import { readFile, rm } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { BuildOptions, Plugin } from "esbuild";

export const PROJECT_FOLDER = resolve(import.meta.dirname, "..");

/** Paths are relative to the project's folder. */
export interface FunctionSource {
  /** The module that exports `handler`. */
  readonly entryFile: string;
  /** What its code loads with `new Worker(…)`, which esbuild does not follow. */
  readonly workerFiles: readonly string[];
}

export const FUNCTION_SOURCES = {
  authorizer: { entryFile: "functions/authorizer.ts", workerFiles: [] },
  gitHttp: { entryFile: "functions/git-http.ts", workerFiles: [] },
  status: { entryFile: "functions/status.ts", workerFiles: [] },
  pages: { entryFile: "functions/pages.ts", workerFiles: [] },
  administer: { entryFile: "functions/administer.ts", workerFiles: [] },
  webhook: { entryFile: "functions/webhook.ts", workerFiles: [] },
  relay: { entryFile: "functions/relay.ts", workerFiles: [] },
  reconcile: { entryFile: "functions/reconcile.ts", workerFiles: [] },
  lfsSync: { entryFile: "functions/lfs-sync.ts", workerFiles: ["lib/indexer/index-worker.ts"] },
  sync: { entryFile: "functions/sync.ts", workerFiles: ["lib/indexer/index-worker.ts"] },
} as const satisfies Record<string, FunctionSource>;

export type FunctionName = keyof typeof FUNCTION_SOURCES;

/** In the order of the table. */
export const FUNCTION_NAMES = Object.keys(FUNCTION_SOURCES) as FunctionName[];

/**
 * For a process that serves packs or copies files. Node frees the buffers that they pass through when it has looked through the young objects, and
 * makes few of those meanwhile: with little room for them it looks often. A fifth of the memory of a clone is saved so.
 */
export const SERVING_NODE_OPTIONS = "--max-semi-space-size=1";

/**
 * @param outputFolder - Emptied first.
 * @returns The bundled files, relative to the project's folder.
 */
export async function bundleFunction(
  { entryFile, workerFiles }: FunctionSource,
  outputFolder: string,
  options: Pick<BuildOptions, "sourcemap"> = {},
): Promise<string[]> {
  // Loaded here: a package (infra/package.ts) has the bundles, and no esbuild.
  const { build } = await import("esbuild");
  await rm(outputFolder, { recursive: true, force: true });
  const workers = workerFiles.map((file) => [basename(file, ".ts"), resolve(PROJECT_FOLDER, file)]);
  const { metafile } = await build({
    ...BUNDLE_OPTIONS,
    ...options,
    plugins: [VERSION_ONLY, NO_TEXTS, ENVIRONMENT_CREDENTIALS, HTTP_WITHOUT_FETCH],
    entryPoints: { index: resolve(PROJECT_FOLDER, entryFile), ...Object.fromEntries(workers) },
    outdir: outputFolder,
    metafile: true,
  });
  return Object.keys(metafile.inputs);
}

/** Of package.json, the project's own and the SDK's, the version is all that is used. */
const VERSION_ONLY: Plugin = {
  name: "version-only",
  setup({ onLoad }) {
    onLoad({ filter: /\/package\.json$/ }, async ({ path }) => {
      const { version } = JSON.parse(await readFile(path, "utf8"));
      return { contents: JSON.stringify({ version }), loader: "json" };
    });
  },
};

/** What metrics and settings mean, and where they are shown, is for people: functions need names, units and limits. */
const NO_TEXTS: Plugin = {
  name: "no-texts",
  setup({ onLoad }) {
    onLoad({ filter: /\/lib\/(metrics|settings\/[a-z-]+)\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replaceAll(
        /(?<!readonly )\b(help|description|section):\s+"[^"]*",?/g,
        "",
      ),
      loader: "ts",
    }));
  },
};

/** Lambda gives a function its role's credentials in the environment. The SDK's other ways to find some are an eighth of a bundle. */
const ENVIRONMENT_CREDENTIALS: Plugin = {
  name: "environment-credentials",
  setup({ onLoad }) {
    onLoad({ filter: /\/@aws-sdk\/credential-provider-node\/dist-[^/]+\/index\.js$/ }, ({ path }) => ({
      contents: 'export { fromEnv as defaultProvider } from "@aws-sdk/credential-provider-env";',
      resolveDir: dirname(path),
    }));
  },
};

/**
 * An `import` of node:http reads all its exports, and so loads Node's whole `fetch` for WebSocket alone: 50 ms of a start. A `require` reads
 * those that are used.
 */
export const HTTP_WITHOUT_FETCH: Plugin = {
  name: "http-without-fetch",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: "node:http", namespace: "required" }));
    onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule("${path}");`,
    }));
  },
};

export const BUNDLE_OPTIONS = {
  absWorkingDir: PROJECT_FOLDER,
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  outExtension: { ".js": ".mjs" },
  // Packages with an ES module form are smaller when it is taken.
  mainFields: ["module", "main"],
  minify: true,
  // Errors are distinguished by name.
  keepNames: true,
  sourcemap: "linked",
  sourcesContent: false,
  logLevel: "warning",
  // In a file beside the bundle.
  legalComments: "external",
  plugins: [VERSION_ONLY],
  // Bundled CommonJS packages call `require` for Node's own modules.
  banner: {
    js: 'import { createRequire as createRequireForBundle } from "node:module"; const require = createRequireForBundle(import.meta.url);',
  },
} satisfies BuildOptions;
