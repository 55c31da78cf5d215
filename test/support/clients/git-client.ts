/** Clients other than git, each speaking whatever protocol it speaks by itself. */
import { execFile } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import isomorphicGit from "isomorphic-git";
import http from "isomorphic-git/http/node";
import { isolatedGitEnvironment } from "../git/run-git.ts";

export interface GitClient {
  readonly name: string;
  /** Says what is to be installed; `undefined` if the client is there. */
  missing(): Promise<string | undefined>;
  /** Makes `folder` a repository with the branches and tags of `url`. @param depth - All commits, when absent. */
  clone(url: string, folder: string, depth?: number): Promise<void>;
  /** Brings it up to date with where it was cloned from. */
  fetch(folder: string): Promise<void>;
  readonly canCloneShallow: boolean;
}

export const GIT_CLIENTS: readonly GitClient[] = [
  {
    name: "isomorphic-git",
    canCloneShallow: true,
    missing: async () => undefined,
    clone: (url, folder, depth) =>
      isomorphicGit.clone({
        fs,
        http,
        url,
        dir: folder,
        noCheckout: true,
        ...(depth === undefined ? {} : { depth }),
      }),
    fetch: async (folder) => {
      await isomorphicGit.fetch({ fs, http, dir: folder, remote: "origin", tags: true });
    },
  },
  pythonClient("dulwich", "dulwich_client.py", { canCloneShallow: true }),
  pythonClient("pygit2", "pygit2_client.py", { canCloneShallow: false }),
  {
    name: "JGit",
    canCloneShallow: false,
    missing: () => failureOf(runJgit("version"), "JGit is missing: apt-get install libjgit-java jgit-cli"),
    clone: (url, folder) => runJgit("clone", "--quiet", "--bare", url, folder),
    fetch: (folder) => runJgit("--git-dir", folder, "fetch", "--quiet", "origin"),
  },
];

function pythonClient(
  name: string,
  script: string,
  { canCloneShallow }: { readonly canCloneShallow: boolean },
): GitClient {
  const path = fileURLToPath(new URL(script, import.meta.url));
  // The distribution's own, where its packages are.
  const python = (...args: string[]) => run("/usr/bin/python3", args);
  return {
    name,
    canCloneShallow,
    missing: () =>
      failureOf(python("-c", `import ${name}`), `${name} is missing: apt-get install python3-${name}`),
    clone: (url, folder, depth) =>
      python(path, "clone", folder, url, ...(depth === undefined ? [] : [String(depth)])),
    fetch: (folder) => python(path, "fetch", folder),
  };
}

function runJgit(...args: string[]): Promise<void> {
  // Debian's /usr/bin/jgit lacks half of its class path.
  return run("java", ["-cp", "/usr/share/java/*", "org.eclipse.jgit.pgm.Main", ...args]);
}

async function run(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args, { env: isolatedGitEnvironment() });
}

async function failureOf(attempt: Promise<void>, text: string): Promise<string | undefined> {
  try {
    await attempt;
    return undefined;
  } catch {
    return text;
  }
}
