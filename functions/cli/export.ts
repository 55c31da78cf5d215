/** `nearside export` */
import { resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { exportRepository } from "../../lib/repo/export-repository.ts";
import { readName } from "../../lib/repo/names.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { formatBytes } from "../local/progress-line.ts";
import { print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";
import { counted } from "./table.ts";

const EXPLANATION = `
The folder is a bare repository that needs neither this program nor Bitbucket. It appears when it is complete. Repositories that
are no longer selected can be exported while their data is stored.
Exit codes: 0 done; 1 failed, or the store is damaged; 2 wrong arguments or settings.`;

export function configure(command: Command): void {
  storeOptions(command)
    .argument("<workspace/repository>")
    .argument("[folder]", "must not exist; <repository>.git unless given")
    .addHelpText("after", EXPLANATION)
    .action(exportTo);
}

async function exportTo(name: string, folder: string | undefined, options: StoreOptions): Promise<void> {
  const store = storeOf(options);
  const [workspace = "", slug = "", ...rest] = name.split("/");
  if (slug === "" || rest.length > 0)
    throw new ConfigError(`expected workspace/repository, not "${name.slice(0, 200)}"`);
  const entry = await readName(store, workspace, slug);
  if (entry === undefined || entry.isReserved)
    throw new ConfigError(`nothing is mirrored under ${name}: nearside status lists what is`);
  const repository = await openRepository({ store, blocks: new BlockCache(store) }, entry.uuid);
  const target = resolve(folder ?? `${slug}.git`);
  const { refCount, packCount, packBytes } = await exportRepository(store, repository, target);
  print(
    `${target}: ${counted(refCount, "ref")}, ${counted(packCount, "pack")}, ${formatBytes(packBytes)}. To check it:`,
  );
  print(`  git -C ${target} fsck`);
}
