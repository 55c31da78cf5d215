/** `nearside reconcile` */
import type { Command } from "commander";
import { describeAge } from "../../lib/age.ts";
import { ConfigError } from "../../lib/errors.ts";
import { connectedWorkspace } from "../../lib/mirror/change-workspaces.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { acceptRemovals, readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { configOf, print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";
import { Findings } from "./explain.ts";
import { counted, visible } from "./table.ts";

interface ReconcileOptions extends StoreOptions {
  readonly acceptRemovals?: true;
}

const EXPLANATION = `
A few repositories that vanish from Bitbucket's list are withdrawn at once. If many of a workspace vanish at once, its account may have
lost a right: they stay served, by each caller's own rights, until three lists over 24 hours lack them.
Exit codes: 0 no removal is held back, or all are accepted now; 1 failed; 2 wrong arguments or settings; 3 removals are held back.`;

export function configure(command: Command): void {
  storeOptions(command)
    .argument("[names...]", "workspaces, all unless given; with --accept-removals also workspace/repository")
    .option(
      "--accept-removals",
      "these were deleted at Bitbucket: withdraw at the next list, within minutes, what it still lacks",
    )
    .addHelpText("after", EXPLANATION)
    .action(reconcile);
}

async function reconcile(names: readonly string[], options: ReconcileOptions): Promise<void> {
  const store = storeOf(options);
  const config = await configOf(store);
  if (options.acceptRemovals && names.length > 0) return acceptNamed(store, config, names);
  const workspaces =
    names.length === 0
      ? config.workspaces.map(({ workspace }) => workspace)
      : names.map((name) => connectedWorkspace(config, name).workspace);
  if (workspaces.length === 0)
    throw new ConfigError("no workspace is connected: begin with nearside connect", { lacks: "workspace" });
  let heldCount = 0;
  for (const workspace of workspaces) {
    if (options.acceptRemovals) await accept(store, workspace);
    else heldCount += await show(store, workspace);
  }
  if (heldCount > 0) throw new Findings();
}

async function acceptNamed(store: BlobStore, config: MirrorConfig, names: readonly string[]): Promise<void> {
  const slugsOf = new Map<string, string[] | undefined>();
  for (const name of names) {
    const [, owner = name, slug] = /^([^/]+)\/([^/]+)$/.exec(name) ?? [];
    const { workspace } = connectedWorkspace(config, owner);
    const isWhole = slug === undefined || (slugsOf.has(workspace) && slugsOf.get(workspace) === undefined);
    slugsOf.set(workspace, isWhole ? undefined : [...(slugsOf.get(workspace) ?? []), slug]);
  }
  for (const [workspace, slugs] of slugsOf) await accept(store, workspace, slugs);
}

async function accept(store: BlobStore, workspace: string, slugs?: readonly string[]): Promise<void> {
  const { held, withdrawn } = await acceptRemovals(store, workspace, new Date(), slugs);
  if (withdrawn.length > 0)
    print(`${workspace}: withdrawn before, and deleted from now on: ${visible(withdrawn.join(", "))}`);
  if (held.length > 0)
    print(`${workspace}: withdrawn if Bitbucket's next list lacks it: ${visible(held.join(", "))}`);
  if (held.length + withdrawn.length === 0) print(`${workspace}: no removal is held back.`);
}

/** @returns How many removals are held back. */
async function show(store: BlobStore, workspace: string): Promise<number> {
  const { value: index } = await readWorkspaceIndex(store, workspace);
  const { count = 0, since } = index?.removalsHeld ?? {};
  const withdrawn = Object.values(index?.repositories ?? {}).flatMap(({ slug, isGone, isDeleted }) =>
    isGone && !isDeleted ? [slug] : [],
  );
  if (withdrawn.length > 0)
    print(`${workspace}: withdrawn, as Bitbucket does not list ${withdrawn.length === 1 ? "it" : "them"} for the account any more: ${visible(withdrawn.sort().join(", "))}
Check the account: nearside doctor. If ${withdrawn.length === 1 ? "it was" : "they were"} deleted at Bitbucket:
  nearside reconcile --accept-removals ${namesOf(workspace, withdrawn)}`);
  if (index === undefined || since === undefined) {
    print(`${workspace}: no removal is held back.`);
    return 0;
  }
  const age = describeAge(Date.now() - Date.parse(since));
  const slugs = Object.values(index.repositories).flatMap(({ slug, held, unlisted }) =>
    held === "mirrored" && unlisted !== undefined ? [slug] : [],
  );
  print(`${workspace}: Bitbucket lists ${counted(count, "repository", "repositories")} no more, first seen ${age} ago. ${count === 1 ? "It is" : "They are"} still served.
${slugs
  .sort()
  .map((slug) => `  ${slug}`)
  .join("\n")}
Check the account: nearside doctor. If ${count === 1 ? "it was" : "they were"} deleted:
  nearside reconcile --accept-removals ${namesOf(workspace, slugs)}`);
  return count;
}

const MAX_NAMES = 5;

/** As arguments; with many, the first ones. */
function namesOf(workspace: string, slugs: readonly string[]): string {
  const names = slugs.slice(0, MAX_NAMES).map((slug) => `${workspace}/${slug}`);
  return `${names.join(" ")}${slugs.length > MAX_NAMES ? " …" : ""}`;
}
