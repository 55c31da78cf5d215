/** Checks which selected repositories Bitbucket does not show to the account of their workspace. */
import { describeAge } from "../../../lib/age.ts";
import { ConfigError, insteadOf, MirrorError, NotFoundError } from "../../../lib/errors.ts";
import type { MirroredWorkspace } from "../../../lib/mirror/mirror-config.ts";
import {
  hasLostAccess,
  type RepositoryStatus,
  type WorkspaceStatus,
} from "../../../lib/mirror/mirror-status.ts";
import type { BitbucketAccess } from "../../wiring/bitbucket-access.ts";
import { counted } from "../table.ts";
import { type Finding, fail, ok } from "./finding.ts";

const MAX_NAMES = 5;
/** Bitbucket is asked about so many, with two requests each: a check of thousands must not use up the account's hour. */
const MAX_ASKED = 3;

/** From what the mirror has noted, and by asking Bitbucket again about a few. */
export async function checkAccess(
  workspace: MirroredWorkspace,
  { repositories, neverListed }: WorkspaceStatus,
  bitbucket: BitbucketAccess,
): Promise<Finding[]> {
  const name = workspace.workspace;
  const check = `${name}: access`;
  const lost = repositories.filter(hasLostAccess);
  const findings: Finding[] = [];
  if (lost.length > 0) {
    const asked = await askAgain(workspace, lost.slice(0, MAX_ASKED), bitbucket);
    const since = Math.min(...lost.map(({ noAccess }) => Date.parse(noAccess?.since ?? "")));
    const servedCount = lost.filter(({ noAccess }) => noAccess?.isServed).length;
    const detail = [
      `Bitbucket does not show ${counted(lost.length, "repository", "repositories")} to ${accountOf(workspace)}: ${named(lost.map(({ slug }) => slug))}`,
      `since ${describeAge(Date.now() - since)}, ${servedCount} of them still served`,
      ...asked,
    ].join("; ");
    const [first] = lost;
    findings.push(
      fail(
        check,
        detail,
        `If ${lost.length === 1 ? "it exists" : "they exist"} at Bitbucket, give ${accountOf(workspace)} the right to read ${lost.length === 1 ? "it" : "them"}, then run nearside sync ${name}/${first?.slug}. If ${lost.length === 1 ? "it was" : "one was"} deleted there: nearside reconcile --accept-removals ${name}/${first?.slug}.`,
      ),
    );
  }
  if (neverListed.length > 0)
    findings.push(
      fail(
        check,
        `selected by name, but Bitbucket does not list under this name: ${named(neverListed)}`,
        `Misspelt or renamed: change the selection with nearside select ${name}. No right: give ${accountOf(workspace)} the right to read.`,
      ),
    );
  const selectedCount = repositories.filter(({ isSelected }) => isSelected).length;
  if (findings.length === 0)
    findings.push(
      ok(check, `Bitbucket shows all ${selectedCount} selected repositories to ${accountOf(workspace)}`),
    );
  return findings;
}

function accountOf({ credential }: MirroredWorkspace): string {
  return credential === undefined ? "a caller without an account" : `the account "${credential}"`;
}

function named(names: readonly string[]): string {
  const more = names.length > MAX_NAMES ? `, and ${names.length - MAX_NAMES} more` : "";
  return `${names.slice(0, MAX_NAMES).join(", ")}${more}`;
}

/** @returns What Bitbucket answers now; nothing where the account has no secret here, which another check reports. */
async function askAgain(
  workspace: MirroredWorkspace,
  repositories: readonly RepositoryStatus[],
  bitbucket: BitbucketAccess,
): Promise<string[]> {
  const primary = await bitbucket.primaryOf(workspace).catch(insteadOf(ConfigError, undefined));
  if (primary === undefined) return [];
  const { api, upstreamOf } = primary;
  const { workspace: owner } = workspace;
  return Promise.all(
    repositories.map(async ({ uuid, slug }) => {
      const [rest, git] = await Promise.all([
        answerOf(api.repository(owner, `{${uuid}}`)),
        answerOf(upstreamOf(uuid, { workspace: owner, slug }).listRefs()),
      ]);
      const isBack = rest === "answers" && git === "answers";
      return `${slug} now: REST ${rest}, git ${git}${isBack ? ", so the right is back: sync it" : ""}`;
    }),
  );
}

async function answerOf(question: Promise<unknown>): Promise<string> {
  try {
    await question;
    return "answers";
  } catch (error) {
    if (!(error instanceof MirrorError)) throw error;
    const status = error.context["status"] ?? (error instanceof NotFoundError ? 404 : undefined);
    return typeof status === "number" ? `answers ${status}` : `fails (${error.message})`;
  }
}
