/** Checks of a deployment that are one request to the mirror each. */
import { gzipSync } from "node:zlib";
import { gitAuthorization } from "../../../../lib/bitbucket/credential.ts";
import { type DeploymentCheck, type DeploymentTargets, judged, statusOf } from "./check.ts";

const TIMEOUT_MS = 60_000;
const GIT_INFO = "info/refs?service=git-upload-pack";
const LFS_TYPE = "application/vnd.git-lfs+json";

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

interface RequestCheck {
  readonly name: string;
  /** As in {@link DeploymentCheck}. */
  readonly settles?: readonly string[];
  /** After the mirror's address. */
  readonly path: (repository: string) => string;
  readonly init?: RequestInit;
  /** Whether it is asked with the caller's credential. */
  readonly isAuthorized?: true;
  /** @returns What is wrong; `undefined` if nothing. */
  readonly judge: (answer: Answer) => string | undefined;
  readonly advice: string;
}

const wrong = (user: string) => `Basic ${btoa(`${user}:wrong`)}`;

const REQUESTS: readonly RequestCheck[] = [
  {
    name: "the challenge reaches git",
    settles: ["The authorizer's challenge reaches git"],
    path: (repository) => `${repository}.git/${GIT_INFO}`,
    judge: ({ status, headers }) =>
      statusOf(status, 401) ??
      (/^Basic /.test(headers.get("www-authenticate") ?? "") ? undefined : "401 without WWW-Authenticate"),
    advice: "See the gateway response UNAUTHORIZED, and whether something in front renames the header.",
  },
  {
    name: "the challenge to git-lfs is its JSON",
    settles: ["The challenge to git-lfs is its JSON"],
    path: (repository) => `${repository}.git/info/lfs/objects/batch`,
    init: { method: "POST", headers: { accept: LFS_TYPE }, body: "{}" },
    judge: ({ status, headers }) =>
      statusOf(status, 401) ??
      (headers.get("content-type")?.startsWith(LFS_TYPE) && headers.has("lfs-authenticate")
        ? undefined
        : `content type ${headers.get("content-type")}, LFS-Authenticate: ${headers.get("lfs-authenticate")}`),
    advice: "See the gateway response UNAUTHORIZED.",
  },
  {
    name: "a credential that Bitbucket rejects is refused in Bitbucket's name",
    settles: ["A credential that Bitbucket rejects is refused with Bitbucket's message"],
    path: (repository) => `${repository}.git/${GIT_INFO}`,
    init: { headers: { authorization: wrong("x-token-auth") } },
    judge: ({ status, text }) =>
      statusOf(status, 401) ?? (/bitbucket/i.test(text) ? undefined : `the text is ${text}`),
    advice: "See the authorizer's log: does it reach Bitbucket?",
  },
  {
    name: "a repository that may be read is served",
    settles: ["CloudFormation puts the secret into the authorizer's environment"],
    path: (repository) => `${repository}.git/${GIT_INFO}`,
    isAuthorized: true,
    judge: ({ status, text, headers }) =>
      statusOf(status, 200) ??
      (text.includes("service=git-upload-pack") || headers.get("content-type")?.includes("upload-pack")
        ? undefined
        : "the answer is not git's"),
    advice: "Is it mirrored, and may this caller read it at Bitbucket? See nearside status.",
  },
  {
    name: "git's protocol version 2 passes",
    path: (repository) => `${repository}.git/${GIT_INFO}`,
    init: { headers: { "git-protocol": "version=2" } },
    isAuthorized: true,
    judge: ({ status, text }) =>
      statusOf(status, 200) ?? (text.includes("version 2") ? undefined : "version 0 is answered"),
    advice: "See whether something in front removes the header Git-Protocol.",
  },
  {
    name: "a compressed request body arrives as it was sent",
    path: (repository) => `${repository}.git/git-upload-pack`,
    init: {
      method: "POST",
      headers: {
        "git-protocol": "version=2",
        "content-type": "application/x-git-upload-pack-request",
        "content-encoding": "gzip",
      },
      body: gzipSync("0014command=ls-refs\n0000"),
    },
    isAuthorized: true,
    judge: ({ status, text }) =>
      statusOf(status, 200) ?? (text.includes("refs/heads/") ? undefined : "the answer has no branch"),
    advice: "See binaryMediaTypes of the API: the type must reach the function as bytes.",
  },
  {
    name: "a name that is not there is not found",
    settles: ["A name that is not there is not found, rather than forbidden by S3"],
    path: (repository) => `${repository.split("/")[0]}/no-such-repository-of-nearside.git/${GIT_INFO}`,
    isAuthorized: true,
    judge: ({ status }) => statusOf(status, 404),
    advice: "503 or 403: the function may not list the bucket, see its role.",
  },
  {
    name: "the status function answers",
    path: (repository) => `-/repositories/${repository}/status`,
    isAuthorized: true,
    judge: ({ status, text }) => statusOf(status, 200) ?? (text.includes('"generation"') ? undefined : text),
    advice: "See the status function's log.",
  },
  {
    name: "waiting ends in time",
    path: (repository) =>
      `-/repositories/${repository}/wait?ref=refs/heads/no-such-branch-of-nearside&timeout=2`,
    isAuthorized: true,
    judge: ({ status }) => statusOf(status, 504),
    advice: "See the status function's log.",
  },
  {
    name: "the page is served",
    path: () => "",
    init: { headers: { accept: "text/html" } },
    judge: ({ status, text }) =>
      statusOf(status, 200) ?? (/<!doctype html>/i.test(text) ? undefined : "the answer is no page"),
    advice: "See the log of the function for pages.",
  },
  {
    name: "webhooks without a signature are refused",
    path: (repository) => `-/webhooks/${repository.split("/")[0]}`,
    init: { method: "POST", headers: { "content-type": "application/json" }, body: "{}" },
    judge: ({ status }) => statusOf(status, 401, 403),
    advice: "See the webhook function's log, and webhookAddresses.",
  },
];

export const REQUEST_CHECKS: readonly DeploymentCheck[] = REQUESTS.map((check) => ({
  name: check.name,
  settles: check.settles ?? [],
  ...(check.isAuthorized && { needs: ["account"] as const }),
  run: async (targets) => judged(check.judge(await ask(check, targets))),
  advice: check.advice,
}));

async function ask(
  { path, init, isAuthorized }: RequestCheck,
  { mirrorUrl, repository, account }: DeploymentTargets,
): Promise<Answer> {
  const headers = new Headers(init?.headers);
  const authorization = gitAuthorization(account);
  if (isAuthorized && authorization !== undefined) headers.set("authorization", authorization);
  const response = await fetch(`${mirrorUrl}/${path(repository)}`, {
    ...init,
    headers,
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
