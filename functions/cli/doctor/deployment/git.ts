/** Checks of a deployment by the user's own git. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gitAuthorization } from "../../../../lib/bitbucket/credential.ts";
import { loggedText } from "../../../../lib/http/logged-path.ts";
import type { DeployedStack } from "../deployed-stack.ts";
import {
  type DeploymentCheck,
  type DeploymentTargets,
  judged,
  notShown,
  type Outcome,
  seen,
} from "./check.ts";

export interface GitResult {
  readonly isOk: boolean;
  readonly stdout: string;
  /** Without tokens and signatures: it is shown. */
  readonly stderr: string;
}

export type Git = (args: readonly string[], cwd?: string) => Promise<GitResult>;

/** A clone of the large repository over a slow line. */
const GIT_TIMEOUT_MS = 30 * 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** git compresses a request above 1 KiB: some 30 wants. */
const COMPRESSED_WANTS = 30;
/** Runs with a folder of its own, and git without the user's configuration, that knows the credential for the mirror and Bitbucket only. */
export async function withGit<T>(
  { mirrorUrl, gitUrl, account }: DeploymentTargets,
  run: (git: Git, folder: string) => Promise<T>,
  timeoutMs = GIT_TIMEOUT_MS,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "nearside-doctor-"));
  const [, encoded = ""] = gitAuthorization(account)?.split(" ") ?? [];
  const [user = "", password = ""] = Buffer.from(encoded, "base64").toString().split(":");
  const helper =
    '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" "$NEARSIDE_USER" "$NEARSIDE_PASSWORD"; }; f';
  const settings = [
    ...[mirrorUrl, gitUrl].map((url) => [`credential.${new URL(url).origin}.helper`, helper] as const),
    ...[["user.name", "nearside doctor"] as const, ["user.email", "doctor@localhost"] as const],
  ];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...{ NEARSIDE_USER: user, NEARSIDE_PASSWORD: password, GIT_TERMINAL_PROMPT: "0" },
    ...{ GIT_CONFIG_GLOBAL: join(folder, "none"), GIT_CONFIG_NOSYSTEM: "1", GIT_DIR: undefined },
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(settings.map(([name], index) => [`GIT_CONFIG_KEY_${index}`, name])),
    ...Object.fromEntries(settings.map(([, value], index) => [`GIT_CONFIG_VALUE_${index}`, value])),
  };
  const git: Git = (args, cwd = folder) =>
    new Promise((resolve) => {
      const options = { cwd, env, maxBuffer: MAX_OUTPUT_BYTES, timeout: timeoutMs };
      execFile("git", args, options, (error, stdout, stderr) => {
        const isStopped = error?.killed === true && error.signal === "SIGTERM";
        const timeout = isStopped ? `\ngit was ended: not done after ${timeoutMs / 1000} s` : "";
        resolve({
          isOk: error === null,
          stdout,
          stderr: loggedText((stderr || (error?.message ?? "")) + timeout),
        });
      });
    });
  try {
    return await run(git, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function failure({ stderr }: GitResult): Outcome {
  return judged(stderr.trim().split("\n").slice(-3).join(" / "));
}

/** How a clone of the large repository went. */
type LargeClone =
  | { readonly kind: "tier"; readonly place: string }
  /** Its size was in the message, and the next try was whole. */
  | { readonly kind: "refused" }
  | { readonly kind: "function" }
  | { readonly kind: "failed"; readonly outcome: Outcome };

async function cloneLarge(targets: DeploymentTargets): Promise<LargeClone> {
  return withGit(targets, async (git, folder): Promise<LargeClone> => {
    const url = `${targets.mirrorUrl}/${targets.large}.git`;
    const first = await git(["clone", "--bare", url, "first"]);
    if (first.isOk) {
      const fsck = await git(["fsck", "--connectivity-only"], join(folder, "first"));
      if (!fsck.isOk) return { kind: "failed", outcome: failure(fsck) };
      const place = /redirecting to (\S+\/-\/t\/\S+)/.exec(first.stderr)?.[1];
      return place === undefined ? { kind: "function" } : { kind: "tier", place };
    }
    if (!/this takes [\d.,]+ \w?B/.test(first.stderr)) return { kind: "failed", outcome: failure(first) };
    const second = await git(["clone", "--bare", url, "second"]);
    return second.isOk ? { kind: "refused" } : { kind: "failed", outcome: failure(second) };
  });
}

const REFUSED = "the first is refused with its size, the second is whole";
const BY_FUNCTION = "it takes a larger repository: the function sends this one whole";

async function clonedLarge(targets: DeploymentTargets): Promise<Outcome> {
  const clone = await cloneLarge(targets);
  if (clone.kind === "failed") return clone.outcome;
  if (clone.kind === "tier") return seen(`whole, from ${clone.place}`);
  if (clone.kind === "function") return notShown(BY_FUNCTION);
  const { desiredCount = 0, runningCount = 0 } = (await targets.stack?.tierTasks()) ?? {};
  if (desiredCount === 0) return seen(REFUSED);
  return judged(
    `the stream tier is not used: it runs ${runningCount} of ${desiredCount} tasks, and ${REFUSED}`,
  );
}

/** While the tasks of the stream tier are stopped. It shows nothing unless the clone lasts until tasks have ended. */
export async function clonedLargeWhileTierStops(
  targets: DeploymentTargets,
  stack: DeployedStack,
): Promise<Outcome> {
  const stopping = await stack.whileTierStops(() => cloneLarge(targets));
  if (stopping === undefined) return notShown("the deployment has no stream tier");
  const { result: clone, tasksBefore, tasksAtEnd } = stopping;
  if (clone.kind === "failed") return clone.outcome;
  if (clone.kind !== "tier") return notShown("the tier did not serve it");
  if (tasksAtEnd === undefined)
    return notShown("it takes a larger repository: the clone ended before the tasks were stopped");
  const { runningCount } = tasksAtEnd;
  if (runningCount >= tasksBefore)
    return notShown("it takes a larger repository: the clone ended before a task did, whole");
  return seen(`whole, from ${clone.place}; at its end ${runningCount} of ${tasksBefore} tasks ran`);
}

/** While no task of the stream tier runs. */
export async function clonedLargeWithoutTier(targets: DeploymentTargets): Promise<Outcome> {
  const clone = await cloneLarge(targets);
  if (clone.kind === "failed") return clone.outcome;
  if (clone.kind === "function") return notShown(BY_FUNCTION);
  return judged(clone.kind === "tier" ? `it is redirected to ${clone.place}` : undefined, REFUSED);
}

export const GIT_CHECKS: readonly DeploymentCheck[] = [
  {
    name: "git clones a repository whole",
    settles: ["API Gateway may inflate gzip bodies in a way that loses them"],
    needs: ["account"],
    run: (targets) =>
      withGit(targets, async (git, folder) => {
        const cloned = await git([
          "clone",
          "--quiet",
          "--bare",
          `${targets.mirrorUrl}/${targets.repository}.git`,
          "clone",
        ]);
        if (!cloned.isOk) return failure(cloned);
        const fsck = await git(["fsck", "--full"], join(folder, "clone"));
        if (!fsck.isOk) return failure(fsck);
        const { stdout } = await git(["for-each-ref", "--format=%(objectname)"], join(folder, "clone"));
        const wants = new Set(stdout.trim().split("\n")).size;
        if (wants < COMPRESSED_WANTS)
          return notShown(
            `it is whole, and its ${wants} refs are too few for git to compress its request: ${COMPRESSED_WANTS} are enough`,
          );
        return seen(`${wants} refs`);
      }),
    advice: "See the git function's log.",
  },
  {
    name: "a large repository is cloned, or refused with its size",
    settles: [
      "A larger answer is refused, and the next try is redirected",
      "The stream tier serves it, at the network's speed",
    ],
    needs: ["account", "large"],
    run: clonedLarge,
    advice: "See docs/large-repositories.md, and the git function's log.",
  },
  {
    name: "links to packs work with the function's role",
    settles: ["Presigned addresses work with the function's role"],
    needs: ["account", "large"],
    run: (targets) =>
      withGit(targets, async (git) => {
        const args = ["-c", "fetch.uriProtocols=https", "clone", "--quiet", "--bare"];
        const cloned = await git([...args, `${targets.mirrorUrl}/${targets.large}.git`, "clone"]);
        return cloned.isOk ? seen() : failure(cloned);
      }),
    advice: "See the git function's role: GetObject below repos/*/objects/pack/.",
  },
];
