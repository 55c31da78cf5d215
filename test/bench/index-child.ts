/** Indexes a pack file, as git-index-pack(1) does, and writes the index beside it: `node test/bench/index-child.ts <pack> <index>`. */
import { open, writeFile } from "node:fs/promises";
import { PackFileProgress } from "../../lib/indexer/file-pack-source.ts";
import { indexPack } from "../../lib/indexer/index-pack.ts";

const [packFile, indexFile] = process.argv.slice(2);
if (packFile === undefined || indexFile === undefined) throw new Error("usage: index-child <pack> <index>");
await using file = await open(packFile, "r+");
const progress = new PackFileProgress();
progress.complete((await file.stat()).size);
const { index } = await indexPack({ file, progress, historyLimits: "none" });
await writeFile(indexFile, index);
