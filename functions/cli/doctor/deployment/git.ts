/** Checks of a deployment by the user's own git. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gitAuthorization } from "../../../../lib/bitbucket/credential.ts";
import { loggedText } from "../../../../lib/http/logged-path.ts";
import { restoring } from "../restoring.ts";
import {
  type DeploymentCheck,
  type DeploymentTargets,
  judged,
  notShown,
  type Outcome,
  seen,
} from "./check.ts";

interface GitResult {
  readonly isOk: boolean;
  readonly stdout: string;
  /** Without tokens and signatures: it is shown. */
  readonly stderr: string;
}

type Git = (args: readonly string[], cwd?: string) => Promise<GitResult>;

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** git compresses a request above 1 KiB: some 30 wants. */
const COMPRESSED_WANTS = 30;
/** Bitbucket Pipelines leaves it alone. Source: support.atlassian.com, "Pipeline start conditions". */
const MESSAGE = "[skip ci] A check of nearside doctor";
const DELETE_PAUSE_MS = 2_000;
/** A webhook takes about a second; a poll, minutes. After each listing that is not the last one. */
const WEBHOOK_PAUSES_MS = [1_000, 2_000, 4_000, 8_000];

/** Runs with a folder of its own, and git without the user's configuration, that knows the credential for the mirror and Bitbucket only. */
async function withGit<T>(
  { mirrorUrl, gitUrl, account }: DeploymentTargets,
  run: (git: Git, folder: string) => Promise<T>,
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
      execFile("git", args, { cwd, env, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) =>
        resolve({ isOk: error === null, stdout, stderr: loggedText(stderr || (error?.message ?? "")) }),
      );
    });
  try {
    return await run(git, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function failure({ stderr }: GitResult): Outcome {
  return judged(stderr.trim().split("\n").slice(-3).join(" / "));
}

/** A new commit on a branch of its own, which is deleted afterwards; `change` makes it, in the work tree. */
async function pushedBranch(
  targets: DeploymentTargets,
  url: string,
  change: (git: Git, tree: string) => Promise<GitResult>,
  look: (git: Git, branch: string, commit: string) => Promise<Outcome>,
): Promise<Outcome> {
  return withGit(targets, async (git, folder) => {
    const tree = join(folder, "tree");
    const branch = `nearside-doctor-${randomBytes(4).toString("hex")}`;
    const cloned = await git(["clone", "--quiet", "--depth", "1", url, tree]);
    if (!cloned.isOk) return failure(cloned);
    const changed = await change(git, tree);
    if (!changed.isOk) return failure(changed);
    const committed = await git(["commit", "--quiet", "--allow-empty", "-m", MESSAGE], tree);
    if (!committed.isOk) return failure(committed);
    const { stdout } = await git(["rev-parse", "HEAD"], tree);
    const pushAndLook = async (): Promise<Outcome> => {
      const pushed = await git(["push", "--quiet", "origin", `HEAD:refs/heads/${branch}`], tree);
      return pushed.isOk ? look(git, branch, stdout.trim()) : failure(pushed);
    };
    const restore = async (): Promise<void> => {
      const removed = await git(["push", "--quiet", "origin", `:refs/heads/${branch}`], tree);
      // A push that failed may have made it, or not.
      if (!removed.isOk && !/remote ref does not exist/.test(removed.stderr))
        throw new Error(failure(removed).detail);
    };
    const byHand = `delete the branch ${branch} of ${targets.repository} at Bitbucket`;
    return restoring(pushAndLook, { restore, byHand, pauseMs: DELETE_PAUSE_MS });
  });
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
  {
    name: "a push to Bitbucket is at the mirror when refs are listed next",
    settles: ["Listing refs waits for an announced push"],
    needs: ["account", "changes"],
    run: (targets) =>
      pushedBranch(
        targets,
        `${targets.gitUrl}/${targets.repository}.git`,
        async () => ({ isOk: true, stdout: "", stderr: "" }),
        async (git, branch, commit) => {
          const url = `${targets.mirrorUrl}/${targets.repository}.git`;
          for (let tries = 1; ; tries++) {
            const listed = await git(["ls-remote", url, branch]);
            if (!listed.isOk) return failure(listed);
            if (listed.stdout.includes(commit))
              return seen(tries === 1 ? "at once" : `at try ${tries}: the webhook came later`);
            const pauseMs = WEBHOOK_PAUSES_MS[tries - 1];
            if (pauseMs === undefined) return judged(`not after ${tries} listings`);
            await sleep(pauseMs);
          }
        },
      ),
    advice:
      "Is the webhook installed? See nearside doctor without --deployment, and the webhook function's log.",
  },
  {
    name: "git-lfs follows the mirror to Bitbucket for uploads",
    settles: ["git-lfs follows the mirror to Bitbucket for uploads"],
    needs: ["account", "changes"],
    run: (targets) =>
      pushedBranch(
        targets,
        `${targets.mirrorUrl}/${targets.repository}.git`,
        async (git, tree) => {
          const installed = await git(["lfs", "install", "--local"], tree);
          if (!installed.isOk) return installed;
          await git(["lfs", "track", "nearside-doctor.bin"], tree);
          await writeFile(join(tree, "nearside-doctor.bin"), randomBytes(64));
          return git(["add", "--all"], tree);
        },
        async () => seen("pushed; Bitbucket keeps its 64 bytes"),
      ),
    advice: "Is git-lfs installed here, and LFS turned on at Bitbucket?",
  },
];
