/** Checks of what Bitbucket itself answers, on which the mirror relies. */
import { administeredWorkspaces } from "../../../../lib/bitbucket/administered-workspaces.ts";
import {
  basicAuthorization,
  gitAuthorization,
  restAuthorization,
} from "../../../../lib/bitbucket/credential.ts";
import { bitbucketRestApi } from "../../../../lib/bitbucket/rest-api.ts";
import {
  type DeploymentCheck,
  type DeploymentTargets,
  judged,
  notShown,
  type Outcome,
  seen,
  statusOf,
} from "./check.ts";

const TIMEOUT_MS = 30_000;
const WRONG = basicAuthorization("x-bitbucket-api-token-auth", "wrong");
/** What the mirror takes for "no": anything else counts as an outage. */
const NO_STATUSES = [401, 403, 404, 410];

async function askGit(
  { gitUrl }: DeploymentTargets,
  path: string,
  authorization: string | undefined,
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${gitUrl}/${path}.git/info/refs?service=git-upload-pack`, {
    headers: { "git-protocol": "version=2", ...(authorization !== undefined && { authorization }) },
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return { status: response.status, text: await response.text() };
}

/** The status of a batch that uploads nothing. */
async function askLfs(
  { gitUrl }: DeploymentTargets,
  path: string,
  authorization: string | undefined,
): Promise<number> {
  const type = "application/vnd.git-lfs+json";
  const response = await fetch(`${gitUrl}/${path}.git/info/lfs/objects/batch`, {
    method: "POST",
    headers: { accept: type, "content-type": type, ...(authorization !== undefined && { authorization }) },
    body: JSON.stringify({ operation: "upload", objects: [] }),
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await response.body?.cancel();
  return response.status;
}

/** @returns What is wrong with the answers to no credential, a wrong one, and a name that is not there. */
function refusalsJudged(
  { none, wrong, unknown }: Readonly<Record<"none" | "wrong" | "unknown", number>>,
  wrongStatuses: readonly number[],
  byHand: string,
): Outcome {
  const problems = [
    ["no credential", statusOf(none, ...NO_STATUSES)],
    ["a wrong one", statusOf(wrong, ...wrongStatuses)],
    ["an unknown name", statusOf(unknown, ...NO_STATUSES)],
  ].flatMap(([what, problem]) => (problem === undefined ? [] : [`${what}: ${problem}`]));
  const detail = `no credential ${none}, a wrong one ${wrong}, an unknown name ${unknown}; try ${byHand} by hand`;
  return judged(problems.length === 0 ? undefined : problems.join("; "), detail);
}

const restOf = ({ apiUrl, account }: DeploymentTargets) => ({
  ...{ fetch, apiUrl, authorization: restAuthorization(account) },
});

const namesOf = ({ repository }: DeploymentTargets) => repository.split("/") as [string, string];

export const BITBUCKET_CHECKS: readonly DeploymentCheck[] = [
  {
    name: "Bitbucket's git says no as the mirror expects",
    settles: [
      "What Bitbucket answers to git's first request for no right, an unknown name, an expired and a removed credential, and whether it returns the caller's name (`x-ausername`)",
      "Bitbucket says 401 to a wrong credential for any repository, and 403 to a token that may not list them (the page signs in by that)",
    ],
    needs: ["account"],
    async run(targets) {
      const unknown = `${namesOf(targets)[0]}/no-such-repository-of-nearside`;
      const none = await askGit(targets, targets.repository, undefined);
      const wrong = await askGit(targets, targets.repository, WRONG);
      const missing = await askGit(targets, unknown, gitAuthorization(targets.account));
      const statuses = { none: none.status, wrong: wrong.status, unknown: missing.status };
      return refusalsJudged(statuses, [401], "an expired one");
    },
    advice: "Please report it: the mirror's rules for refusals have to change.",
  },
  {
    name: "Bitbucket's git-lfs says no as the mirror expects",
    settles: [
      "What Bitbucket answers to a batch for no right, a read-only token that uploads, and an expired token",
    ],
    needs: ["account"],
    async run(targets) {
      const unknown = `${namesOf(targets)[0]}/no-such-repository-of-nearside`;
      const statuses = {
        none: await askLfs(targets, targets.repository, undefined),
        wrong: await askLfs(targets, targets.repository, WRONG),
        unknown: await askLfs(targets, unknown, gitAuthorization(targets.account)),
      };
      return refusalsJudged(statuses, NO_STATUSES, "a read-only and an expired one");
    },
    advice: "Please report it: the mirror's rules for refusals have to change.",
  },
  {
    name: "Bitbucket redirects git from a former name",
    settles: ["Bitbucket redirects git from a former name"],
    needs: ["account", "former"],
    async run(targets) {
      const { status } = await askGit(targets, targets.former ?? "", gitAuthorization(targets.account));
      return judged(statusOf(status, 301, 302, 307, 308));
    },
    advice: "Without, former names are 404 at the mirror.",
  },
  {
    name: "Bitbucket's git speaks protocol version 2",
    settles: ["Bitbucket speaks protocol version 2 (if not, version 0 is used)"],
    needs: ["account"],
    async run(targets) {
      const { status, text } = await askGit(targets, targets.repository, gitAuthorization(targets.account));
      return judged(
        statusOf(status, 200) ?? (text.includes("version 2") ? undefined : "version 0 is answered"),
      );
    },
    advice: "Version 0 is used: every sync lists all refs.",
  },
  {
    name: "Bitbucket's REST answers as documented, and its git takes a uuid in place of a name",
    settles: [
      "Bitbucket's git takes a uuid in place of a name",
      "Bitbucket's REST answers and credentials are as documented",
    ],
    needs: ["account"],
    async run(targets) {
      const { uuid } = await bitbucketRestApi(restOf(targets)).repository(...namesOf(targets));
      const [workspace] = namesOf(targets);
      const path = `${workspace}/${encodeURIComponent(`{${uuid}}`)}`;
      const { status } = await askGit(targets, path, gitAuthorization(targets.account));
      return judged(statusOf(status, 200), `REST says ${uuid}`);
    },
    advice: "Without, syncs go by name, with one refused request each: see docs/access.md.",
  },
  {
    name: "Bitbucket says who administers a workspace",
    settles: [
      "Bitbucket says to an API token with the scope `read:workspace:bitbucket` which workspaces its owner administers (the page's administrators)",
    ],
    needs: ["account"],
    async run(targets) {
      if (targets.account.kind !== "api-token")
        return notShown("it needs an API token, with its e-mail address");
      const [name] = namesOf(targets);
      const found = await administeredWorkspaces(restOf(targets));
      const isAmong = found.some(({ slug }) => slug === name.toLowerCase());
      return seen(`${found.length} workspaces, ${isAmong ? "" : "not "}${name}`);
    },
    advice: "Give the token the scope read:workspace:bitbucket.",
  },
];
