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
  // git and `URL` do not agree about these characters.
  if (parsed === null || /[\p{Cc}\s\\]/u.test(url)) return undefined;
  if (!/^https?:$/.test(parsed.protocol) || parsed.search !== "" || parsed.hash !== "") return undefined;
  const segments = parsed.pathname.split("/").filter((segment) => segment !== "");
  const isProject = /^(upstream|scm)$/.test(segments.at(-3) ?? "");
  const repository = segments.splice(isProject ? -3 : -2);
  if (repository.length < 2) return undefined;
  return `${parsed.origin}/${[...segments, "-", "repositories", ...repository, "clone-plan"].join("/")}`;
}

/**
 * What `git credential` is asked about `url`: the host to which requests go, whatever the text of `url` may be for another parser.
 * @returns `undefined` if a part holds what ends a line of the question.
 */
export function credentialQuestion(url: string): string | undefined {
  const { protocol, host, pathname, username, password } = new URL(url);
  const parts = [
    ["protocol", protocol.slice(0, -1)],
    ["host", host],
    ["path", pathname.slice(1)],
    ["username", username],
    ["password", password],
  ] as const;
  const lines = parts
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${name === "host" ? value : percentDecoded(value)}`);
  return lines.some((line) => /\p{Cc}/u.test(line)) ? undefined : `${lines.join("\n")}\n\n`;
}

/** As git: what is no escape stays as it is. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // URIError: the only one there is.
  }
}

/** @returns The plan; `undefined` where there is none, for whatever reason: git's own clone says why. */
export async function askPlan(client: HttpClient, git: GitRun, url: string): Promise<GivenPlan | undefined> {
  const planUrl = planUrlOf(url);
  if (planUrl === undefined || !(await client.canReach(planUrl))) return undefined;
  const answer = await client.getText(planUrl, {});
  if (answer.status === 200) return givenPlan(answer.text, planUrl);
  if (answer.status !== 401) return undefined;
  const question = credentialQuestion(url);
  if (question === undefined) return undefined;
  const filled = await gitOutput(git, ["credential", "fill"], question);
  const credential = credentialOf(filled.stdout);
  if (filled.exitCode !== 0 || credential === undefined) return undefined;
  const { status, text } = await client.getText(planUrl, { authorization: basic(credential) });
  const given = status === 200 ? givenPlan(text, planUrl, credential) : undefined;
  // Another server may answer 401 at this address to a credential that it accepts elsewhere: `git clone` finds out whether it is wrong.
  if (given !== undefined) await gitOutput(git, ["credential", "approve"], filled.stdout);
  return given;
}

/** @returns `undefined` also for a newer form, and where it leads from TLS to addresses without. */
export function givenPlan(text: string, planUrl: string, credential?: Credential): GivenPlan | undefined {
  const plan = clonePlanSchema.safeParse(parseJson(text)).data;
  if (plan === undefined) return undefined;
  const urls = [plan.refs.url, ...plan.packs.flatMap(({ packUrl, indexUrl }) => [packUrl, indexUrl])];
  if (plan.primaryUrl !== undefined) urls.push(plan.primaryUrl);
  // A mirror with TLS sends neither downloads nor pushes to where there is none.
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
