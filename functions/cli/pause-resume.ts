/** `nearside pause` and `nearside resume` */
import type { Command } from "commander";
import { pauseWorkspace } from "../../lib/mirror/change-workspaces.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";

const EXIT_CODES = "\nExit codes: 0 done; 1 failed; 2 wrong arguments or settings.";

export function pauseCommand(command: Command): void {
  storeOptions(command)
    .argument("<workspace>", "one that is connected")
    .addHelpText("after", EXIT_CODES)
    .action(async (workspace: string, options: StoreOptions) => {
      await changeMirrorConfig(storeOf(options), (config) => pauseWorkspace(config, workspace, true));
      print(
        `${workspace} is paused: nothing of it is served. To resume:\n  npx nearside resume ${workspace}`,
      );
    });
}

export function resumeCommand(command: Command): void {
  storeOptions(command)
    .argument("<workspace>", "one that is connected")
    .addHelpText("after", EXIT_CODES)
    .action(async (workspace: string, options: StoreOptions) => {
      await changeMirrorConfig(storeOf(options), (config) => pauseWorkspace(config, workspace, false));
      print(
        `${workspace} is served again, in the state of when it was paused; the next sync brings changes.`,
      );
    });
}
