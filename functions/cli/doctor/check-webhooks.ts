/** Whether the mirror's webhooks are registered at Bitbucket, and lead to it. */
import type { Hook } from "../../../lib/bitbucket/hooks-api.ts";
import type { MirroredWorkspace } from "../../../lib/mirror/mirror-config.ts";
import { readWorkspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { type InstalledWebhooks, installedWebhooks } from "../../../lib/webhook/install-webhooks.ts";
import { WEBHOOK_PATH } from "../../../lib/webhook/receive-webhook.ts";
import { REPOSITORY_WEBHOOK_EVENTS, WEBHOOK_EVENTS } from "../../../lib/webhook/webhook-event.ts";
import type { BitbucketAccess } from "../../wiring/bitbucket-access.ts";
import { type Finding, fail, failedWith, ok, skipped } from "./finding.ts";

export interface WebhookFindings {
  readonly findings: readonly Finding[];
  /** Where a webhook says that the mirror is. */
  readonly mirrorUrl: string | undefined;
}

const REPAIR =
  "The mirror repairs it within six hours; at once, if webhooks/<workspace>.json is deleted from the store before its next round.";

/** @param isLocal - Whether the mirror may be a local one without an address for webhooks. */
export async function checkWebhooks(
  workspace: MirroredWorkspace,
  isLocal: boolean,
  store: BlobStore,
  bitbucket: BitbucketAccess,
): Promise<WebhookFindings> {
  const name = workspace.workspace;
  const check = `${name}: webhook`;
  const only = (finding: Finding): WebhookFindings => ({ findings: [finding], mirrorUrl: undefined });
  if (workspace.credential === undefined)
    return only(skipped(check, "without an account none can be put up: changes are found by asking"));
  const { value: installed } = await installedWebhooks(store, name).read();
  if (installed === undefined) {
    if (isLocal)
      return only(
        skipped(check, "none: a local mirror puts them up with --webhook-url, and asks for news until then"),
      );
    const advice = "Its reconcile function does that every five minutes: see what its log says.";
    return only(fail(check, "the mirror has put up none yet", advice));
  }
  if (installed.level === "none") {
    const advice =
      "Give the account the scopes for webhooks, and the right to administer the workspace or its repositories.";
    return only(fail(check, `the mirror could put up none: ${installed.problem}`, advice));
  }
  try {
    const hooks = await (await bitbucket.hooksOf(workspace)).list(placeOf(name, installed));
    const mine = hooks.filter(({ url }) =>
      url.toLowerCase().endsWith(`${WEBHOOK_PATH}${name}`.toLowerCase()),
    );
    const finding = await judge(check, name, mine, installed, store);
    const mirrorUrl = mine[0]?.url.slice(0, -`${WEBHOOK_PATH}${name}`.length);
    return { findings: [finding], mirrorUrl };
  } catch (error) {
    return only(failedWith(check, error, "Check the account's scopes for webhooks."));
  }
}

function placeOf(workspace: string, { level, repositories: [uuid] }: InstalledWebhooks) {
  return level === "repository" && uuid !== undefined ? { workspace, uuid } : { workspace };
}

async function judge(
  check: string,
  name: string,
  hooks: readonly Hook[],
  { level, repositories, problem }: InstalledWebhooks,
  store: BlobStore,
): Promise<Finding> {
  const [hook] = hooks;
  if (hook === undefined) return fail(check, "it is gone from Bitbucket", REPAIR);
  if (!hook.active) return fail(check, "it is turned off at Bitbucket", REPAIR);
  if (hook.secret_set === false)
    return fail(check, "it has no secret, so the mirror refuses what it sends", REPAIR);
  const events = level === "workspace" ? WEBHOOK_EVENTS : REPOSITORY_WEBHOOK_EVENTS;
  const missing = events.filter((event) => !hook.events.includes(event));
  if (missing.length > 0) return fail(check, `it does not send ${missing.join(", ")}`, REPAIR);
  if (level === "workspace") return ok(check, `on the workspace, to ${hook.url}`);
  const { value: index } = await readWorkspaceIndex(store, name);
  const count = Object.values(index?.repositories ?? {}).filter(({ held }) => held === "mirrored").length;
  const advice = "Let an administrator of the workspace own the account: then one webhook is enough.";
  if (problem !== undefined) return fail(check, problem, advice);
  return ok(check, `on ${repositories.length} of ${count} mirrored repositories, to ${hook.url}`);
}
