import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { PackFileProgress } from "../../lib/indexer/file-pack-source.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";

test("bundled code finds its worker threads", async () => {
  await using folder = await temporaryFolder();
  const repository = join(folder.path, "sample.git");
  await makeSampleRepository(repository);
  const packName = join(folder.path, "sample");
  const packId = await git(["pack-objects", "--all", "--quiet", packName], { cwd: repository, input: "" });
  const packFile = `${packName}-${packId}.pack`;
  const { size: packBytes } = await stat(packFile);
  const { workerFiles } = FUNCTION_SOURCES.sync;
  const bundle = join(folder.path, "bundle");
  await bundleFunction({ entryFile: "lib/indexer/index-pack.ts", workerFiles }, bundle);

  const bundled: typeof import("../../lib/indexer/index-pack.ts") = await import(
    pathToFileURL(join(bundle, "index.mjs")).href
  );
  const progress = new PackFileProgress();
  progress.complete(packBytes);
  const { objectCount } = await bundled.indexPack({ packFile, progress, threadCount: 2 });

  const entries = await git(["show-index"], { input: await readFile(`${packName}-${packId}.idx`) });
  expect(objectCount).toBe(entries.split("\n").length);
});
