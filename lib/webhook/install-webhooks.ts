/**
 * Creates, repairs and deletes the mirror's webhooks in one workspace: one on the workspace, or where the account may not do
 * that, one on each repository. What is ours is known by its description, whatever happened to the rest of it.
 */
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import type { BitbucketHooksApi, Hook, HookPlace, HookSettings } from "../bitbucket/hooks-api.ts";
import { errorFields, insteadOf, NotFoundError, UpstreamError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import { readWorkspaceIndex } from "../mirror/workspace-index.ts";
import { type DocumentForm, StoredDocument } from "../repo/stored-document.ts";
import { secretKeys } from "../secret-keys.ts";
import type { BlobStore, WholeBlobs } from "../store/blob-store.ts";
import { WEBHOOK_PATH } from "./receive-webhook.ts";
import { workspaceSecret } from "./signature.ts";
import { REPOSITORY_WEBHOOK_EVENTS, WEBHOOK_EVENTS } from "./webhook-event.ts";

export interface InstallWebhooksOptions {
  readonly store: BlobStore;
  readonly api: BitbucketHooksApi;
  /** The mirror's address as Bitbucket reaches it, without a slash at its end. */
  readonly mirrorUrl: string;
  /** Distinguishes this mirror's webhooks from those of other mirrors of the workspace. */
  readonly mirrorName: string;
  /** The mirror's, as `secretKeys` reads it. */
  readonly secret: string;
  /** The uuids of the mirrored repositories; asked for only where each needs a webhook of its own. */
  readonly repositories: () => Promise<readonly string[]>;
  readonly log: Logger;
  readonly now?: () => Date;
}

/** What the mirror knows of the webhooks that it has installed in one workspace: `webhooks/<workspace>.json`. */
const installedSchema = z.object({
  checkedAt: z.iso.datetime(),
  /** Of address, events and secret. */
  fingerprint: z.string(),
  /** `none`: the account may install none, and the mirror learns of changes by asking. */
  level: z.enum(["workspace", "repository", "none"]),
  /** Repositories with one of their own, by their uuids. */
  repositories: z.array(z.guid()),
  /** In words, for people. */
  problem: z.optional(z.string()),
});

export type InstalledWebhooks = z.infer<typeof installedSchema>;

/** If it is lost, webhooks are found at Bitbucket by their description. */
const FORM: DocumentForm<InstalledWebhooks> = { schema: installedSchema, whenDamaged: "absent" };

export function installedWebhooks(store: WholeBlobs, workspace: string): StoredDocument<InstalledWebhooks> {
  return new StoredDocument(store, `webhooks/${workspace.toLowerCase()}.json`, FORM);
}

/** People take webhooks down, and Bitbucket turns some off: looked at so often. */
const CHECK_EVERY_MS = 6 * 3_600_000;

/** Two requests each, of 1,000 an hour that Bitbucket allows for webhooks; there are twelve runs an hour. */
const MAX_REPOSITORIES_PER_RUN = 25;

const FORMAT = "1";

interface TendOptions extends Omit<InstallWebhooksOptions, "api" | "secret" | "repositories"> {
  readonly hooksOf: (workspace: MirroredWorkspace) => Promise<BitbucketHooksApi>;
  readonly readSecret: () => Promise<string>;
}

/** Keeps the webhooks of one workspace as its configuration wants them. Creating them takes an account. */
export async function tendWebhooks(
  workspace: MirroredWorkspace,
  { hooksOf, readSecret, ...common }: TendOptions,
): Promise<void> {
  if (workspace.credential === undefined) return;
  const name = workspace.workspace;
  const repositories = async () => {
    const { value } = await readWorkspaceIndex(common.store, name);
    const entries = Object.entries(value?.repositories ?? {});
    return entries.flatMap(([uuid, { held }]) => (held === "mirrored" ? [uuid] : []));
  };
  const options = { ...common, repositories, api: await hooksOf(workspace), secret: await readSecret() };
  if (workspace.removedAt === undefined) await installWebhooks(name, options);
  else await removeWebhooks(name, options);
}

/** Never throws for what the primary refuses: the mirror works without webhooks, only later. */
export async function installWebhooks(workspace: string, options: InstallWebhooksOptions): Promise<void> {
  const { store, log, now = () => new Date() } = options;
  const wanted = settingsFor(workspace, options, WEBHOOK_EVENTS);
  const print = fingerprint(wanted);
  const document = installedWebhooks(store, workspace);
  const stored = await document.read();
  const before = stored.value?.fingerprint === print ? stored.value : undefined;
  const isDue = now().getTime() - Date.parse(before?.checkedAt ?? "1970-01-01") >= CHECK_EVERY_MS;
  if (!isDue && before?.level !== "repository") return;
  const checkedAt = now().toISOString();
  let installed: InstalledWebhooks;
  try {
    const isWorkspaceWide = isDue && (await putUpIfAllowed({ workspace }, wanted, options));
    installed = isWorkspaceWide
      ? { checkedAt, fingerprint: print, level: "workspace", repositories: [] }
      : await onRepositories(workspace, before, isDue, { checkedAt, print }, options);
    if (isWorkspaceWide) await takeDownOnRepositories(workspace, stored.value, options);
  } catch (error) {
    if (!(error instanceof UpstreamError || error instanceof NotFoundError)) throw error;
    log.warn("webhook:install-failed", { workspace, ...errorFields(error) });
    // Asked again with the next check, not with each run: a refusal rarely changes within minutes.
    const problem = error.message.slice(0, 500);
    installed = { checkedAt, fingerprint: print, level: "none", repositories: [], problem };
    if (error instanceof UpstreamError && error.retryable) return;
  }
  const written = await document.change(() => installed, stored);
  if (written !== stored) log.info("webhook:installed", { workspace, level: installed.level });
}

/** Takes down all that are ours. @throws {UpstreamError} The primary refused: some may be left. */
export async function removeWebhooks(workspace: string, options: InstallWebhooksOptions): Promise<void> {
  const document = installedWebhooks(options.store, workspace);
  const stored = await document.read();
  const { value } = stored;
  if (value === undefined) return;
  if (value.level === "workspace") await takeDown({ workspace }, options);
  await takeDownOnRepositories(workspace, value, options);
  await document.remove(stored);
}

async function onRepositories(
  workspace: string,
  before: InstalledWebhooks | undefined,
  isDue: boolean,
  { checkedAt, print }: { readonly checkedAt: string; readonly print: string },
  options: InstallWebhooksOptions,
): Promise<InstalledWebhooks> {
  const wanted = settingsFor(workspace, options, REPOSITORY_WEBHOOK_EVENTS);
  const all = await options.repositories();
  const has = new Set(isDue ? [] : before?.repositories);
  const missing = all.filter((uuid) => !has.has(uuid));
  const refused: string[] = [];
  for (const uuid of missing.slice(0, MAX_REPOSITORIES_PER_RUN)) {
    const isThere = await putUpIfAllowed({ workspace, uuid }, wanted, options);
    if (!isThere) refused.push(uuid);
    has.add(uuid);
  }
  const kept = all.filter((uuid) => has.has(uuid));
  const surplus = (before?.repositories ?? []).filter((uuid) => !all.includes(uuid));
  for (const uuid of surplus) await takeDown({ workspace, uuid }, options);
  return {
    // What is left for later runs must not look due again with each of them.
    checkedAt: isDue ? checkedAt : (before?.checkedAt ?? checkedAt),
    fingerprint: print,
    level: "repository",
    repositories: kept,
    ...(refused.length > 0 && {
      problem: `no right to put up webhooks on ${refused.length} ${refused.length === 1 ? "repository" : "repositories"}`,
    }),
  };
}

/** @returns Whether it is there now; not if the account may not do that. */
async function putUpIfAllowed(
  place: HookPlace,
  wanted: HookSettings,
  options: InstallWebhooksOptions,
): Promise<boolean> {
  try {
    const [first, ...surplus] = await ours(place, options);
    for (const { uuid } of surplus) await options.api.remove(place, uuid);
    if (first === undefined) await options.api.create(place, wanted);
    else if (!isAsWanted(first, wanted)) await options.api.update(place, first.uuid, wanted);
    return true;
  } catch (error) {
    const isForbidden =
      error instanceof UpstreamError && [401, 403].includes(Number(error.context["status"]));
    if (isForbidden || error instanceof NotFoundError) return false;
    throw error;
  }
}

async function takeDown(place: HookPlace, options: InstallWebhooksOptions): Promise<void> {
  const remove = async () => {
    for (const { uuid } of await ours(place, options)) await options.api.remove(place, uuid);
  };
  await remove().catch(insteadOf(NotFoundError, undefined));
}

async function takeDownOnRepositories(
  workspace: string,
  installed: InstalledWebhooks | undefined,
  options: InstallWebhooksOptions,
): Promise<void> {
  for (const uuid of installed?.repositories ?? []) await takeDown({ workspace, uuid }, options);
}

async function ours(place: HookPlace, { api, mirrorName, log }: InstallWebhooksOptions): Promise<Hook[]> {
  const hooks = await api.list(place, (skipped) =>
    log.warn("webhook:entry-skipped", { ...place, entry: skipped.name, problem: skipped.problem }),
  );
  return hooks.filter(({ description }) => description?.startsWith(descriptionStart(mirrorName)));
}

function isAsWanted(hook: Hook, { url, description, events }: HookSettings): boolean {
  return (
    hook.url === url &&
    hook.active &&
    // It holds the secret's fingerprint: the secret itself is never shown.
    hook.description === description &&
    hook.secret_set !== false &&
    events.every((event) => hook.events.includes(event))
  );
}

function descriptionStart(mirrorName: string): string {
  return `Nearside mirror "${mirrorName}"`;
}

function settingsFor(
  workspace: string,
  { mirrorUrl, mirrorName, secret }: InstallWebhooksOptions,
  events: readonly string[],
): HookSettings {
  const ownSecret = workspaceSecret(secretKeys(secret)[0], workspace);
  const settings = {
    url: `${mirrorUrl}${WEBHOOK_PATH}${workspace}`,
    active: true,
    events,
    secret: ownSecret,
  } as const;
  return { ...settings, description: `${descriptionStart(mirrorName)} (${shortHash(ownSecret)})` };
}

function fingerprint({ url, events, description }: HookSettings): string {
  return shortHash(JSON.stringify([FORMAT, url, events, description]));
}

/** Enough to see a change; too little to reveal anything about a secret of 256 bits. */
function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}
