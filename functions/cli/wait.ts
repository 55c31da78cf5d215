/** `nearside wait` */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { gitAuthorization } from "../../lib/bitbucket/credential.ts";
import { AGENT } from "../../lib/config.ts";
import { ConfigError, NotFoundError, UpstreamError } from "../../lib/errors.ts";
import { printableLine } from "../../lib/printable-line.ts";
import { parseRetryAfter } from "../../lib/retry-after.ts";
import { readAccount } from "../local/secrets.ts";
import { parseUrlArgument, print } from "./command-options.ts";

const EXPLANATION = `
With a commit beside a branch or tag, waits until the branch or tag is at the commit. Private repositories take the credential in
BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or BITBUCKET_ACCESS_TOKEN.

Examples:
  nearside wait acme/website 3f2a…c1 --mirror-url https://mirror.example.com
  nearside wait acme/website main "$COMMIT" \\
    --mirror-url https://mirror.example.com --timeout 120

Exit codes: 0 it is there; 1 it is not, at the timeout, or the mirror refused; 2 wrong arguments.`;

/** As long as the mirror lets one request wait. */
const MAX_REQUEST_SECONDS = 240;
/** The mirror answers by then, also where its sync takes long. */
const ANSWER_SECONDS = 60;

interface WaitOptions {
  readonly mirrorUrl: string;
  readonly timeout: number;
}

export function configure(command: Command): void {
  command
    .argument("<workspace/repository>", "", parseName)
    .argument(
      "<ref-or-commit>",
      "a branch, a full ref name such as refs/tags/v1, or a commit's 40 hex digits",
    )
    .argument("[commit]", "that the ref is to be at")
    .requiredOption("--mirror-url <url>", "the mirror's address", parseUrlArgument)
    .option("--timeout <seconds>", "how long to wait", parseTimeout, 300)
    .addHelpText("after", EXPLANATION)
    .action(wait);
}

async function wait(
  name: string,
  target: string,
  commit: string | undefined,
  { mirrorUrl, timeout }: WaitOptions,
): Promise<void> {
  const asked = queryOf(target, commit);
  const untilMs = Date.now() + timeout * 1000;
  for (;;) {
    const seconds = Math.min(MAX_REQUEST_SECONDS, Math.max(0, Math.ceil((untilMs - Date.now()) / 1000)));
    const query = new URLSearchParams({ ...asked, timeout: String(seconds) });
    const url = new URL(`${mirrorUrl.replace(/\/+$/, "")}/-/repositories/${name}/wait?${query}`);
    const { status, text, retryAfterSeconds } = await get(url, (seconds + ANSWER_SECONDS) * 1000);
    if (status === 200) return print(`${name}: ${commit ?? target} is there`);
    const isBusy = (status === 429 || status === 503) && retryAfterSeconds !== undefined;
    const pauseMs = Math.max(1, retryAfterSeconds ?? 0) * 1000;
    if (isBusy && Date.now() + pauseMs < untilMs) {
      await sleep(pauseMs);
      continue;
    }
    if (status !== 504) throw refusal(status, text);
    if (Date.now() >= untilMs)
      throw new NotFoundError(`${name}: ${commit ?? target} is not there after ${timeout} s`);
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfterSeconds: number | undefined;
}

async function get(url: URL, timeoutMs: number): Promise<Answer> {
  const authorization = gitAuthorization(readAccount(process.env));
  const headers = { ...(authorization !== undefined && { authorization }), "user-agent": AGENT };
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) });
    const retryAfterSeconds = parseRetryAfter(response.headers.get("retry-after"));
    return { status: response.status, text: await response.text(), retryAfterSeconds };
  } catch (error) {
    throw new UpstreamError(`the mirror at ${url.origin} cannot be reached`, {
      retryable: true,
      cause: error,
    });
  }
}

function refusal(status: number, text: string): Error {
  const line = printableLine(text.trim().slice(0, 300));
  if (status === 400) return new ConfigError(`the mirror does not understand the question: ${line}`);
  return new UpstreamError(`the mirror answered ${status}: ${line}`, { retryable: false, status });
}

function queryOf(target: string, commit: string | undefined): Record<string, string> {
  if (commit === undefined && isCommit(target)) return { id: target };
  if (commit !== undefined && !isCommit(commit))
    throw new ConfigError("a commit has 40 hex digits, in lower case");
  const ref = target.startsWith("refs/") ? target : `refs/heads/${target}`;
  return { ref, ...(commit !== undefined && { id: commit }) };
}

function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

function parseName(text: string): string {
  if (/^[A-Za-z0-9._-]+\/[A-Za-z0-9._-]+$/.test(text)) return text;
  throw new InvalidArgumentError("Expected workspace/repository.");
}

function parseTimeout(text: string): number {
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("Expected seconds, from 0 to 86400.");
}
