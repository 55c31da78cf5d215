/** `nearside clone` against a file mirror, each time into a folder of its own, so that what is left behind shows. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type CliResult, runCli } from "./cli.ts";
import { type FileMirror, PLAN_PATH, startFileMirror } from "./file-mirror.ts";
import { isolatedGitEnvironment } from "./git/run-git.ts";
import { temporaryFolder } from "./git/temporary-folder.ts";

interface Cloned extends CliResult {
  readonly target: string;
  /** `git clone` makes neither these requests nor those with ranges. */
  readonly planRequests: number;
  readonly downloads: number;
}

export interface CloneRig extends AsyncDisposable {
  readonly mirror: FileMirror;
  newFolder(): Promise<string>;
  /** @param args - Options, and the address, which is the mirror's if there are none. */
  clone(args?: readonly string[], env?: Readonly<Record<string, string>>): Promise<Cloned>;
  /** The mirror answers as it is, and has no requests. */
  reset(): void;
}

/** Repositories of tests are small. */
export const BY_PLAN_ALWAYS = "--by-git-below=0";

/** Of a clone by the mirror's plan: a pack, its index, and the refs. */
export const BY_PLAN = { exitCode: 0, downloads: 3 };

/** @param prepare - Adds to the mirrored history, in a work tree. */
export async function openCloneRig(prepare?: (workTree: string) => Promise<unknown>): Promise<CloneRig> {
  const folder = await temporaryFolder();
  let folderCount = 0;
  const newFolder = async () => {
    const path = join(folder.path, `folder-${folderCount++}`);
    await mkdir(path);
    return path;
  };
  const mirror = await startFileMirror(await newFolder(), prepare);
  return {
    ...{ mirror, newFolder },
    async clone(args = [], env = {}) {
      const target = join(await newFolder(), "clone");
      mirror.requests.splice(0);
      const whole = [
        "clone",
        "--quiet",
        BY_PLAN_ALWAYS,
        ...(args.length === 0 ? [mirror.cloneUrl] : args),
        target,
      ];
      const result = await runCli(whole, { ...isolatedGitEnvironment(), ...env });
      const planRequests = mirror.requests.filter(({ url }) => url === PLAN_PATH).length;
      const downloads = mirror.requests.filter(({ headers }) => headers.range !== undefined).length;
      return { ...result, target, planRequests, downloads };
    },
    reset() {
      mirror.answer = () => false;
      mirror.requests.splice(0);
    },
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Environment variables for git. @param settings - `<name>=<value>` each. */
export function gitSettingsEnvironment(settings: readonly string[]): Record<string, string> {
  const variables = settings.flatMap((setting, n) => [
    [`GIT_CONFIG_KEY_${n}`, setting.slice(0, setting.indexOf("="))],
    [`GIT_CONFIG_VALUE_${n}`, setting.slice(setting.indexOf("=") + 1)],
  ]);
  return Object.fromEntries([["GIT_CONFIG_COUNT", String(settings.length)], ...variables]);
}
