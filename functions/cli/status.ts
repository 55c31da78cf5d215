/** `nearside status` */
import { setTimeout } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { describeAge } from "../../lib/age.ts";
import { ConfigError, MirrorError } from "../../lib/errors.ts";
import { inBatches } from "../../lib/in-batches.ts";
import {
  hasLostAccess,
  type NoAccess,
  type RepositoryStatus,
  readMirrorStatus,
  type WorkspaceStatus,
} from "../../lib/mirror/mirror-status.ts";
import { type LfsCounts, readLfsCounts } from "../../lib/repo/lfs-counts.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { formatBytes } from "../local/progress-line.ts";
import { configOf, print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";
import { Findings, UNSEEN_PRIMARY } from "./explain.ts";
import { showPaged } from "./pager.ts";
import { printJson } from "./print-json.ts";
import { describeLfs } from "./status-lfs.ts";
import { describeTotals, isFailed } from "./status-totals.ts";
import { formatTable, visible } from "./table.ts";

interface StatusOptions extends StoreOptions {
  readonly json?: true;
  readonly watch?: number | true;
  readonly failed?: true;
}

const WATCH_SECONDS = 5;
/** Keeps the terminal's scrollback. */
const CLEAR_SCREEN = "\u001b[H\u001b[2J";

const EXPLANATION = `
States: INITIALIZING first sync under way; AVAILABLE; ERROR_INITIALIZING, ERROR_AVAILABLE the last sync failed, without or with an
older state that is served; NO_ACCESS Bitbucket does not show it to the mirror's account; NOT_MIRRORED waits for its first sync, or is
no longer selected, or was deleted at Bitbucket; DAMAGED its record or its manifest in the store cannot be read. The lines below the table say why.
On a terminal, longer tables are shown by $PAGER (less unless set; NEARSIDE_PAGER goes first, and an empty one shows all at once).
"verified": how long ago its refs were compared with Bitbucket's. nearside errors <state> says what to do.
With --json: {schema, version, timestamp, data}; data is an array of workspaces, each with its repositories. "shownState" is the state
of the table, "state" that of the repository's record.
Exit codes: 0 all is well; 1 failed; 2 wrong arguments or settings; 3 the last sync of some repository failed, or
Bitbucket does not show it to the account.`;

export function configure(command: Command): void {
  storeOptions(command)
    .argument("[workspace]", "only this one")
    .option(
      "--failed",
      "only repositories whose last sync failed, or that Bitbucket does not show to the account",
    )
    .option("--json", "print JSON")
    .option(
      "--watch [seconds]",
      `refresh the table; every ${WATCH_SECONDS} seconds unless given`,
      parseSeconds,
    )
    .addHelpText("after", EXPLANATION)
    .action(status);
}

async function status(only: string | undefined, options: StatusOptions): Promise<void> {
  const store = storeOf(options);
  for (;;) {
    const workspaces: WorkspaceWithLfs[] = [];
    for (const workspace of await readMirrorStatus(store, await configOf(store), only))
      workspaces.push(await withLfs(store, workspace));
    if (only !== undefined && workspaces.length === 0)
      throw new ConfigError(
        `nothing is known of ${only} in ${options.store}: nearside status without a name lists what is mirrored there`,
      );
    show(workspaces, options);
    if (options.watch === undefined) {
      const isWell = ({ repositories, removalsHeld, neverListed }: WorkspaceWithLfs) =>
        removalsHeld === undefined && neverListed.length === 0 && !repositories.some(isFailed);
      if (!workspaces.every(isWell)) throw new Findings();
      return;
    }
    await setTimeout(1000 * (options.watch === true ? WATCH_SECONDS : options.watch));
  }
}

function show(all: readonly WorkspaceWithLfs[], { json, watch, failed, store }: StatusOptions): void {
  const workspaces = all.map((one) => ({
    ...one,
    ...(failed && { repositories: one.repositories.filter(isFailed) }),
  }));
  // One line each, for those who read a stream of them.
  if (json) {
    printJson("status", workspaces, watch !== undefined);
    return;
  }
  const text =
    workspaces.length === 0
      ? nothingIn(store)
      : workspaces
          .map((one, index) => {
            const totals = describeTotals(all[index]?.repositories ?? [], Date.now());
            return describeWorkspace(one, { isOnlyFailed: failed === true, totals });
          })
          .join("\n\n");
  const { isTTY, rows } = process.stdout;
  if (watch !== undefined) print(isTTY ? `${CLEAR_SCREEN}${text}` : text);
  else if (!showPaged(text, { env: process.env, rows: isTTY ? rows : undefined })) print(text);
}

function nothingIn(store: string): string {
  return `Nothing is mirrored in ${visible(store)} yet. If the mirror's store is elsewhere, name it: --store <folder>, or server.store in nearside.config.json.
Else connect a workspace:
  nearside connect <workspace> --credential <name> --store ${visible(store)}`;
}

function describeWorkspace(
  { workspace, mode, credential, repositories, ...others }: WorkspaceWithLfs,
  { isOnlyFailed, totals }: { readonly isOnlyFailed: boolean; readonly totals: string },
): string {
  const account = credential === undefined ? "public repositories only" : `account "${credential}"`;
  const { knownCount, listedAt } = others;
  const listed = listedAt === undefined ? "not listed yet" : `listed ${age(listedAt)} ago`;
  const count = isOnlyFailed
    ? `${repositories.length} failed`
    : `${repositories.length} of ${knownCount} repositories`;
  const summary = `${workspace}: ${mode}, ${account}, ${count}, ${listed}`;
  const head = [
    summary,
    ...(totals === "" ? [] : [`  ${totals}`]),
    ...describeRemovals(workspace, others.removalsHeld),
    ...describeNeverListed(workspace, others),
  ].join("\n");
  if (repositories.length === 0) return head;
  const rows = repositories.map((one) => [
    one.slug,
    one.projectKey ?? "",
    stateOf(one),
    one.published === undefined ? "" : String(one.published.refCount),
    one.published === undefined ? "" : formatBytes(one.published.packBytes),
    one.published === undefined ? "never" : `${age(one.published.verifiedAt)} ago`,
  ]);
  const columns = ["repository", "project", "state", "refs", "size", "verified"];
  const table = formatTable(columns, rows, process.stdout.isTTY ? process.stdout.columns : undefined);
  return [
    ...[head, table, ...repositories.flatMap(describeLfs), ...repositories.flatMap(describeErrors)],
    ...describeNoAccess(repositories, credential),
  ].join("\n");
}

function describeNeverListed(
  workspace: string,
  { neverListed }: Pick<WorkspaceWithLfs, "neverListed">,
): string[] {
  if (neverListed.length === 0) return [];
  return [
    `  Selected, but Bitbucket does not list under this name: ${visible(neverListed.join(", "))}. Misspelt, renamed, or the account has no right to read it:`,
    `    nearside select ${workspace} shows the selection`,
  ];
}

/** Why, since when, and what to do: once for all that have the same cause. */
function describeNoAccess(
  repositories: readonly RepositoryStatus[],
  credential: string | undefined,
): string[] {
  const lines = repositories.flatMap(({ slug, noAccess }) =>
    noAccess === undefined ? [] : [`  ${slug}: ${noAccessWords(noAccess)}`],
  );
  const [lost] = repositories.filter(hasLostAccess);
  if (lost === undefined) return lines;
  const { workspace, slug } = lost;
  const whose =
    credential === undefined ? "everyone, as the workspace has no account" : `account "${credential}"`;
  return [
    ...lines,
    `  If it exists at Bitbucket: give ${whose} the right to read it, then nearside sync ${workspace}/${slug}`,
    `  If it was deleted there: nearside reconcile --accept-removals ${workspace}/${slug}`,
  ];
}

/** Of one that Bitbucket does not show to the account. */
function noAccessWords({ since, isServed, isDeleted, keptUntil }: NoAccess): string {
  const kept = keptUntil === undefined ? "" : `; its data is kept until ${keptUntil.slice(0, 10)}`;
  if (isDeleted)
    return `deleted at Bitbucket ${age(since)} ago, and ${isServed ? "served until Bitbucket's lists confirm it" : `not served${kept}`}`;
  const served = isServed
    ? "Served as of its last sync, until Bitbucket's lists confirm it"
    : `Not served${kept}`;
  return `Bitbucket has not shown it to the mirror's account for ${age(since)}: the account lacks the right to read it, or it was deleted. ${served}.`;
}

function describeRemovals(workspace: string, removalsHeld: WorkspaceWithLfs["removalsHeld"]): string[] {
  if (removalsHeld === undefined) return [];
  const { count, since } = removalsHeld;
  return [
    `  Bitbucket lists ${count} of them no more, first seen ${age(since)} ago: served until that has lasted a day.`,
    `  See nearside reconcile ${workspace}`,
  ];
}

function describeErrors(repository: RepositoryStatus): string[] {
  const { slug, lastError, failedSyncCount, damage, recentSyncs, noAccess } = repository;
  const lines = damage === undefined ? [] : [`  ${slug}: ${visible(damage)}`];
  // The lines about the account say the same of that one.
  const isSaidBelow = noAccess !== undefined && lastError?.code === "NOT_FOUND";
  if (lastError === undefined || failedSyncCount === 0 || isSaidBelow) return lines;
  const first = recentSyncs.at(-1);
  const since = first?.kind === "failed" && first.tries > 1 ? ` in ${age(first.at)}` : "";
  const times = failedSyncCount === 1 ? "once" : `${failedSyncCount} times${since}`;
  return [
    ...lines,
    `  ${slug}: failed ${times}, last ${age(lastError.at)} ago: ${visible(lastError.message)}`,
    // Until a list lacks it as well, see `NoAccess`.
    ...(lastError.message.startsWith(UNSEEN_PRIMARY)
      ? ["    If it exists at Bitbucket, give the mirror's account the right to read it, then nearside sync."]
      : []),
  ];
}

/** As the table shows it, and `--json` as `shownState`: beside the record's own state, what keeps it from being true. */
function shownStateOf({ state, damage, noAccess }: RepositoryStatus): string {
  if (damage !== undefined) return "DAMAGED";
  return noAccess !== undefined && !noAccess.isDeleted ? "NO_ACCESS" : state;
}

function stateOf(one: RepositoryStatus): string {
  const { isSelected, damage, noAccess } = one;
  const isHidden = noAccess !== undefined && !noAccess.isDeleted && damage === undefined;
  const isServed = isHidden ? noAccess.isServed : isSelected || damage !== undefined;
  return `${shownStateOf(one)}${isServed ? "" : " (not served)"}`;
}

function age(at: string): string {
  return describeAge(Date.now() - Date.parse(at));
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text !== "" && seconds >= 1 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("Expected seconds, from 1 to 86400.");
}

interface RepositoryWithLfs extends RepositoryStatus {
  readonly shownState: string;
  /** Absent where no plan was made, or where it cannot be read. */
  readonly lfs?: LfsCounts | undefined;
}

interface WorkspaceWithLfs extends WorkspaceStatus {
  readonly repositories: readonly RepositoryWithLfs[];
}

/** Repositories that are read at a time. */
const CONCURRENT_READS = 16;

async function withLfs(store: BlobStore, workspace: WorkspaceStatus): Promise<WorkspaceWithLfs> {
  const repositories = await inBatches(workspace.repositories, CONCURRENT_READS, async (one) => ({
    ...one,
    shownState: shownStateOf(one),
    lfs: await countsOf(store, one),
  }));
  return { ...workspace, repositories };
}

async function countsOf(
  store: BlobStore,
  { uuid, published }: RepositoryStatus,
): Promise<LfsCounts | undefined> {
  if (published === undefined) return undefined;
  try {
    return await readLfsCounts(store, uuid);
  } catch (error) {
    // Damage: the next plan mends it, and everything else of the status is worth showing.
    if (error instanceof MirrorError || error instanceof RangeError) return undefined;
    throw error;
  }
}
