/** Checks of a deployment that push a ref to Bitbucket, and delete it again. */
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gitAuthorization, restAuthorization } from "../../../../lib/bitbucket/credential.ts";
import { askLfsBatch } from "../../../../lib/bitbucket/lfs-batch.ts";
import { bitbucketRestApi } from "../../../../lib/bitbucket/rest-api.ts";
import { AGENT } from "../../../../lib/config.ts";
import { restoring } from "../restoring.ts";
import { type DeploymentCheck, type DeploymentTargets, judged, type Outcome, seen } from "./check.ts";
import { failure, type Git, type GitResult, withGit } from "./git.ts";

/** Bitbucket Pipelines leaves it alone. Source: support.atlassian.com, "Pipeline start conditions". */
const MESSAGE = "[skip ci] A check of nearside doctor";
const DELETE_PAUSE_MS = 2_000;
/** A webhook takes about a second; a poll, minutes. After each look that is not the last one. */
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000];
const LINK_TIMEOUT_MS = 60_000;
const LFS_FILE_BYTES = 64;

interface Push {
  /** Of a repository, without `.git`. */
  readonly url: string;
  readonly kind: "heads" | "tags";
  /** Makes the commit's content in the work tree. */
  readonly change?: (git: Git, tree: string) => Promise<GitResult>;
  readonly look: (git: Git, name: string, commit: string) => Promise<Outcome>;
}

/** A new commit on a branch or tag of its own, which is deleted afterwards. */
async function pushed(targets: DeploymentTargets, { url, kind, change, look }: Push): Promise<Outcome> {
  return withGit(targets, async (git, folder) => {
    const tree = join(folder, "tree");
    const name = `nearside-doctor-${randomBytes(4).toString("hex")}`;
    const ref = `refs/${kind}/${name}`;
    const cloned = await git(["clone", "--quiet", "--depth", "1", `${url}.git`, tree]);
    if (!cloned.isOk) return failure(cloned);
    const changed = await change?.(git, tree);
    if (changed?.isOk === false) return failure(changed);
    const committed = await git(["commit", "--quiet", "--allow-empty", "-m", MESSAGE], tree);
    if (!committed.isOk) return failure(committed);
    const { stdout } = await git(["rev-parse", "HEAD"], tree);
    let pushing: Promise<GitResult> | undefined;
    const pushAndLook = async (): Promise<Outcome> => {
      pushing = git(["push", "--quiet", "origin", `HEAD:${ref}`], tree);
      const result = await pushing;
      return result.isOk ? look(git, name, stdout.trim()) : failure(result);
    };
    const restore = async (): Promise<void> => {
      // A push that a signal has not ended would make the ref again.
      await pushing;
      const removed = await git(["push", "--quiet", "origin", `:${ref}`], tree);
      // A push that failed may have made it, or not.
      if (!removed.isOk && !/remote ref does not exist/.test(removed.stderr))
        throw new Error(failure(removed).detail);
    };
    const byHand = `delete ${ref} of ${targets.repository} at Bitbucket`;
    return restoring(pushAndLook, { restore, byHand, pauseMs: DELETE_PAUSE_MS });
  });
}

/** @param look - `undefined`: not yet. @returns `undefined` after the last look. */
async function lookRepeatedly<T>(look: (tries: number) => Promise<T | undefined>): Promise<T | undefined> {
  for (let tries = 1; ; tries++) {
    const found = await look(tries);
    const pauseMs = PAUSES_MS[tries - 1];
    if (found !== undefined || pauseMs === undefined) return found;
    await sleep(pauseMs);
  }
}

const NOT_SEEN = `not after ${PAUSES_MS.length + 1} looks`;

/** Bitbucket's own link to the file, which the mirror passes on. */
async function lfsFileAtBitbucket(targets: DeploymentTargets, bytes: Buffer): Promise<Outcome> {
  const oid = createHash("sha256").update(bytes).digest("hex");
  const files = await askLfsBatch([{ oid, sizeBytes: bytes.length }], {
    ...{ fetch, agent: AGENT, repositoryUrl: `${targets.gitUrl}/${targets.repository}.git` },
    authorization: gitAuthorization(targets.account),
  });
  const action = files.get(oid)?.actions?.download;
  if (action == null) return judged("pushed, and Bitbucket's batch has no link to the file");
  const signal = AbortSignal.timeout(LINK_TIMEOUT_MS);
  let status: number;
  let received: Buffer;
  try {
    const response = await fetch(action.href, { headers: action.header ?? {}, signal });
    status = response.status;
    received = Buffer.from(await response.arrayBuffer());
  } catch (error) {
    if (!signal.aborted) throw error;
    return judged(`the link of Bitbucket's batch has not answered in ${LINK_TIMEOUT_MS / 1000} s`);
  }
  return judged(
    received.equals(bytes) ? undefined : `the link of Bitbucket's batch answers ${status}`,
    `pushed, and had by the link of Bitbucket's batch; Bitbucket keeps its ${bytes.length} bytes`,
  );
}

export const PUSH_CHECKS: readonly DeploymentCheck[] = [
  {
    name: "a push to Bitbucket is at the mirror when refs are listed next",
    settles: ["Listing refs waits for an announced push"],
    needs: ["account", "changes"],
    run: (targets) =>
      pushed(targets, {
        url: `${targets.gitUrl}/${targets.repository}`,
        kind: "heads",
        async look(git, branch, commit) {
          const url = `${targets.mirrorUrl}/${targets.repository}.git`;
          const found = await lookRepeatedly(async (tries) => {
            const listed = await git(["ls-remote", url, branch]);
            if (!listed.isOk) return failure(listed);
            if (!listed.stdout.includes(commit)) return undefined;
            return seen(tries === 1 ? "at once" : `at try ${tries}: the webhook came later`);
          });
          return found ?? judged(NOT_SEEN);
        },
      }),
    advice:
      "Is the webhook installed? See nearside doctor without --deployment, and the webhook function's log.",
  },
  {
    name: "`updated_on` moves with a pushed tag",
    settles: ["`updated_on` moves with each change of refs"],
    needs: ["account", "changes"],
    async run(targets) {
      const { apiUrl, account, repository } = targets;
      const api = bitbucketRestApi({ fetch, apiUrl, authorization: restAuthorization(account) });
      const [workspace = "", slug = ""] = repository.split("/");
      const before = await api.repository(workspace, slug);
      return pushed(targets, {
        url: `${targets.gitUrl}/${repository}`,
        kind: "tags",
        async look() {
          const moved = await lookRepeatedly(async () => {
            const { updatedOn } = await api.repository(workspace, slug);
            return updatedOn === before.updatedOn ? undefined : updatedOn;
          });
          return moved === undefined ? judged(`it stays ${before.updatedOn}: ${NOT_SEEN}`) : seen(moved);
        },
      });
    },
    advice: "Without a webhook such a push is found by the next check, within six hours.",
  },
  {
    name: "git-lfs follows the mirror to Bitbucket for uploads, and Bitbucket's links can be passed on",
    settles: [
      "git-lfs follows the mirror to Bitbucket for uploads",
      'git-lfs gets files that are not copied yet: Bitbucket answers a batch with `["basic"]`, with links that can be passed on',
    ],
    needs: ["account", "changes"],
    run(targets) {
      const bytes = randomBytes(LFS_FILE_BYTES);
      return pushed(targets, {
        url: `${targets.mirrorUrl}/${targets.repository}`,
        kind: "heads",
        async change(git, tree) {
          const installed = await git(["lfs", "install", "--local"], tree);
          if (!installed.isOk) return installed;
          await git(["lfs", "track", "nearside-doctor.bin"], tree);
          await writeFile(join(tree, "nearside-doctor.bin"), bytes);
          return git(["add", "--all"], tree);
        },
        look: () => lfsFileAtBitbucket(targets, bytes),
      });
    },
    advice: "Is git-lfs installed here, and LFS turned on at Bitbucket?",
  },
];
