/** `nearside pause` and `nearside resume` */
import type { Command } from "commander";
import { pauseWorkspace } from "../../lib/mirror/change-workspaces.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { print, type StoreOptions, storeCommand, storeOf } from "./command-options.ts";

const EXIT_CODES = "\nExit codes: 0 done; 1 failed; 2 wrong arguments or settings.";

export function pauseCommand(): Command {
  return storeCommand("pause", "serves and synchronizes nothing of a workspace, and keeps everything")
    .argument("<workspace>", "one that is connected")
    .addHelpText("after", EXIT_CODES)
    .action(async (workspace: string, options: StoreOptions) => {
      await changeMirrorConfig(storeOf(options), (config) => pauseWorkspace(config, workspace, true));
      print(`${workspace} is paused: nothing of it is served. To go on:\n  npx nearside resume ${workspace}`);
    });
}

export function resumeCommand(): Command {
  return storeCommand("resume", "goes on with a workspace that was paused")
    .argument("<workspace>", "one that is connected")
    .addHelpText("after", EXIT_CODES)
    .action(async (workspace: string, options: StoreOptions) => {
      await changeMirrorConfig(storeOf(options), (config) => pauseWorkspace(config, workspace, false));
      print(
        `${workspace} is served again, as it was when it was paused; what is new comes with the next sync.`,
      );
    });
}
