/** `nearside remove` */
import { type Command, InvalidArgumentError } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { removeWorkspace } from "../../lib/mirror/change-workspaces.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { findWorkspace } from "../../lib/mirror/mirror-config.ts";
import { print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";

interface RemoveOptions extends StoreOptions {
  readonly retentionDays?: number;
}

const EXPLANATION = `
Serving stops at once. The mirror's next round deletes the webhooks, and the data and the entry after the retention time. Until then
nearside connect restores all of it.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings.`;

export function removeCommand(command: Command): void {
  storeOptions(command)
    .argument("<workspace>", "one that is connected")
    .option("--retention-days <number>", "how long its data is kept from now on", parseDays)
    .addHelpText("after", EXPLANATION)
    .action(remove);
}

async function remove(workspace: string, options: RemoveOptions): Promise<void> {
  const { retentionDays } = options;
  const config = await changeMirrorConfig(storeOf(options), (before) =>
    removeWorkspace(before, workspace, { at: new Date(), retentionDays }),
  );
  const removed = findWorkspace(config, workspace);
  if (removed?.removedAt === undefined)
    throw new ConfigError(`${workspace} was changed by another process just now`);
  const goesAt = new Date(Date.parse(removed.removedAt) + removed.retentionDays * 86_400_000);
  print(
    `${workspace} is no longer served. Its data will be deleted after ${goesAt.toISOString()}. To keep it:`,
  );
  print(
    `  npx nearside connect ${workspace}${removed.credential === undefined ? "" : ` --credential ${removed.credential}`}`,
  );
}

export function parseDays(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= 3653) return Number(text);
  throw new InvalidArgumentError("Expected whole days, from 0 to 3653.");
}
