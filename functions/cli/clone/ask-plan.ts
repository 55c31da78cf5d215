/** Asks the mirror for a plan, with the credential that git would send. */
import { type ClonePlan, clonePlanSchema } from "../../../lib/repo/clone-plan.ts";
import type { HttpClient } from "./http-client.ts";
import { type GitRun, gitOutput } from "./run-git.ts";

export interface GivenPlan {
  readonly plan: ClonePlan;
  /** What the mirror asked for; absent where it took the request without. */
  readonly credential?: Credential;
}

interface Credential {
  readonly username: string;
  readonly password: string;
}

/**
 * Where a mirror has the plan of the repository at `url`: what comes before the repository's path is the mirror's own address.
 * @returns `undefined` if it is no repository's address at a mirror.
 */
export function planUrlOf(url: string): string | undefined {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.search !== "") return undefined;
  const segments = parsed.pathname.split("/").filter((segment) => segment !== "");
  const isProject = /^(upstream|scm)$/.test(segments.at(-3) ?? "");
  const repository = segments.splice(isProject ? -3 : -2);
  if (repository.length < 2) return undefined;
  return `${parsed.origin}/${[...segments, "-", "repositories", ...repository, "clone-plan"].join("/")}`;
}

/** @returns The plan; `undefined` where there is none, for whatever reason: git's own clone says why. */
export async function askPlan(client: HttpClient, git: GitRun, url: string): Promise<GivenPlan | undefined> {
  const planUrl = planUrlOf(url);
  if (planUrl === undefined || !(await client.canReach(planUrl))) return undefined;
  const answer = await client.getText(planUrl, {});
  if (answer.status === 200) return givenPlan(answer.text, planUrl);
  if (answer.status !== 401) return undefined;
  const filled = await gitOutput(git, ["credential", "fill"], `url=${url}\n\n`);
  const credential = credentialOf(filled.stdout);
  if (filled.exitCode !== 0 || credential === undefined) return undefined;
  const { status, text } = await client.getText(planUrl, { authorization: basic(credential) });
  // As git: only an answer about the credential says whether it is right.
  if (status === 200 || status === 401)
    await gitOutput(git, ["credential", status === 200 ? "approve" : "reject"], filled.stdout);
  return status === 200 ? givenPlan(text, planUrl, credential) : undefined;
}

/** @returns `undefined` also for a newer form. */
function givenPlan(text: string, planUrl: string, credential?: Credential): GivenPlan | undefined {
  const plan = clonePlanSchema.safeParse(parseJson(text)).data;
  if (plan === undefined) return undefined;
  const urls = [plan.refs.url, ...plan.packs.flatMap(({ packUrl, indexUrl }) => [packUrl, indexUrl])];
  // What is asked for over TLS does not come without.
  if (planUrl.startsWith("https:") && urls.some((one) => !one.startsWith("https:"))) return undefined;
  return { plan, ...(credential && { credential }) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // SyntaxError: the only one there is. Another server's page.
  }
}

function credentialOf(lines: string): Credential | undefined {
  const username = /^username=(.*)$/m.exec(lines)?.[1];
  const password = /^password=(.*)$/m.exec(lines)?.[1];
  return username === undefined || password === undefined ? undefined : { username, password };
}

function basic({ username, password }: Credential): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
