import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { PackFileProgress } from "../../lib/indexer/file-pack-source.ts";
import { FUNCTION_ENVIRONMENT } from "../bench/cold-start.ts";
import { git } from "../support/git/run-git.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";

type Indexer = typeof import("../../lib/indexer/index-pack.ts");

/** Smaller packs are indexed without a thread. */
const BLOB_BYTES = 2 * 1024 * 1024;

test("bundled code starts its worker threads from the file beside it", async () => {
  await using folder = await temporaryFolder();
  const pack = await makePack(folder.path);
  const bundle = join(folder.path, "bundle");
  const { workerFiles } = FUNCTION_SOURCES.sync;
  await bundleFunction({ entryFile: "lib/indexer/index-pack.ts", workerFiles }, bundle);
  const bundled: Indexer = await import(pathToFileURL(join(bundle, "index.mjs")).href);

  expect((await indexFile(bundled, pack)).index).toEqual(new Uint8Array(await readFile(`${pack}.idx`)));

  await rm(join(bundle, "index-worker.mjs"));
  await expect(indexFile(bundled, pack)).rejects.toThrow("index-worker.mjs");
});

test.each(["authorizer", "gitHttp"] as const)(
  "%s, which starts most often, parses no settings file and no ranges",
  async (name) => {
    await using folder = await temporaryFolder();
    await bundleFunction(FUNCTION_SOURCES[name], folder.path);
    const map = JSON.parse(await readFile(join(folder.path, "index.mjs.map"), "utf8")) as {
      sources: string[];
    };
    const has = (file: string) => map.sources.some((source) => source.endsWith(file));
    expect(has("lib/settings/function-settings.ts")).toBe(true);
    for (const file of ["lib/settings.ts", "lib/settings-file.ts", "lib/address-ranges.ts", "ipaddr.js"])
      expect([file, has(file)]).toEqual([file, false]);
  },
);

test.each(["authorizer", "gitHttp"] as const)(
  "%s starts without Node's fetch, which takes 50 ms to load",
  async (name) => {
    await using folder = await temporaryFolder();
    await bundleFunction(FUNCTION_SOURCES[name], folder.path);
    const path = join(folder.path, "index.mjs");
    // Also where the SDK loads it at its first request.
    expect(await readFile(path, "utf8")).not.toMatch(/(?:from|import|import\() ?"(?:node:)?http"/);
    const code = `globalThis.awslambda = { streamifyResponse: (handler) => handler };
    await import(${JSON.stringify(pathToFileURL(path).href)});
    const loaded = process.moduleLoadList.filter((module) => module.includes("undici"));
    process.stdout.write(JSON.stringify(loaded), () => process.exit());`;
    const args = ["--input-type=module", "-e", code];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: FUNCTION_ENVIRONMENT });
    expect(JSON.parse(stdout)).toEqual([]);
  },
);

/** Each byte is loaded at a cold start. */
test.each([
  ["authorizer", 150_000],
  ["gitHttp", 700_000],
] as const)("%s's bundle has at most %i bytes", async (name, maxBytes) => {
  await using folder = await temporaryFolder();
  await bundleFunction(FUNCTION_SOURCES[name], folder.path);
  const { size } = await stat(join(folder.path, "index.mjs"));
  expect(size).toBeLessThanOrEqual(maxBytes);
});

/** @returns The path without `.pack` and `.idx`. */
async function makePack(folder: string): Promise<string> {
  const repository = join(folder, "repository.git");
  await git(["init", "--quiet", "--bare", repository]);
  const input = randomBytes(BLOB_BYTES);
  const blobId = await git(["hash-object", "-w", "--stdin"], { cwd: repository, input });
  const name = join(folder, "large");
  const packId = await git(["pack-objects", "--quiet", name], { cwd: repository, input: `${blobId}\n` });
  return `${name}-${packId}`;
}

async function indexFile({ indexPack }: Indexer, pack: string): Promise<{ index: Uint8Array }> {
  const progress = new PackFileProgress();
  progress.complete((await stat(`${pack}.pack`)).size);
  await using file = await open(`${pack}.pack`, "r+");
  return await indexPack({ file, progress, threadCount: 1 });
}
