/** `nearside select` */
import { type Command, Option } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import {
  connectedWorkspace,
  type SelectionChange,
  selectRepositories,
} from "../../lib/mirror/change-workspaces.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import type { MirrorConfig, MirroredWorkspace } from "../../lib/mirror/mirror-config.ts";
import { type SelectableRepository, selects } from "../../lib/mirror/selection.ts";
import { readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import {
  bitbucketOf,
  configOf,
  firstOf,
  type PrimaryOptions,
  parseDays,
  primaryOptions,
  print,
  storeOf,
} from "./command-options.ts";
import { counted } from "./table.ts";

interface SelectOptions extends PrimaryOptions {
  readonly all?: true;
  /** `false` by the option with "no-" before it: none. */
  readonly project?: readonly string[] | false;
  readonly include?: readonly string[] | false;
  readonly exclude?: readonly string[] | false;
  readonly public?: "mirror" | "skip";
  readonly retentionDays?: number;
  readonly dryRun?: true;
  readonly check: boolean;
}

const EXPLANATION = `
Options that are not given keep their value; without any, it shows the selection. In patterns * matches any characters and ? one;
KEY/pattern matches within that project only. Exclusions win. Repositories that are no longer selected are not served from now on,
and their data is deleted after the retention time; new ones are mirrored by the next round, or nearside sync.

Examples:
  nearside select acme --all --exclude "*-archive"
  nearside select acme --project CORE --project WEB --no-exclude
  nearside select acme --no-project --include website

Exit codes: 0 done; 1 failed; 2 wrong arguments or settings.`;

export function configure(command: Command): void {
  primaryOptions(command)
    .argument("<workspace>", "one that is connected")
    .option("--all", "all projects")
    .option("--project <key>", "the repositories of a project (repeatable)", collectNames)
    .option("--no-project", "of no project: only what --include names")
    .option("--include <pattern>", "also these, whatever their project (repeatable)", collectNames)
    .option("--no-include", "no such patterns")
    .option("--exclude <pattern>", "exclude these, whatever else selects them (repeatable)", collectNames)
    .option("--no-exclude", "no such patterns")
    .addOption(
      new Option("--public <mirror|skip>", "repositories that are public at Bitbucket").choices([
        "mirror",
        "skip",
      ]),
    )
    .option(
      "--retention-days <number>",
      "how long data of repositories that are no longer mirrored is kept",
      parseDays,
    )
    .option("--dry-run", "only show what would be selected; asks Bitbucket")
    .option("--no-check", "accept projects of which Bitbucket shows no repository")
    .addHelpText("after", EXPLANATION)
    .action(select);
}

async function select(name: string, options: SelectOptions): Promise<void> {
  const store = storeOf(options);
  const change = changeOf(options);
  const isChange = Object.keys(change).length > 0 && !options.dryRun;
  const apply = (config: MirrorConfig) => selectRepositories(config, name, change);
  const planned = connectedWorkspace(apply(await configOf(store)), name);
  const known = await knownRepositories(store, planned, options);
  if (options.check && options.project) await checkProjects(planned, options.project, known ?? [], options);
  const config = isChange ? await changeMirrorConfig(store, apply) : apply(await configOf(store));
  show(connectedWorkspace(config, name), known, options.dryRun === true);
  if (isChange) print(NEXT);
}

const NEXT =
  "Changed. A running mirror mirrors what is new within minutes; without one: nearside sync. Progress: nearside status --watch";

function changeOf({
  all,
  project,
  include,
  exclude,
  retentionDays,
  ...others
}: SelectOptions): SelectionChange {
  if (all && Array.isArray(project))
    throw new ConfigError("--all and --project exclude each other: give one");
  return {
    ...(project !== undefined && { projects: project || [] }),
    ...(all && { projects: "all" as const }),
    ...(include !== undefined && { include: include || [] }),
    ...(exclude !== undefined && { exclude: exclude || [] }),
    ...(others.public !== undefined && { publicRepositories: others.public === "mirror" }),
    ...(retentionDays !== undefined && { retentionDays }),
  };
}

type KnownRepository = Omit<SelectableRepository, "workspace">;

/** @returns As the mirror has listed them, `undefined` before; for `--dry-run` all that Bitbucket has, as the mirror lists no more than it needs. */
async function knownRepositories(
  store: BlobStore,
  workspace: MirroredWorkspace,
  options: SelectOptions,
): Promise<readonly KnownRepository[] | undefined> {
  if (!options.dryRun) {
    const { value: index } = await readWorkspaceIndex(store, workspace.workspace);
    return index && Object.values(index.repositories);
  }
  const api = await bitbucketOf(options).apiOf(workspace, (fetch) => fetch);
  const listed: KnownRepository[] = [];
  for await (const repository of api.repositories(workspace.workspace)) listed.push(repository);
  return listed;
}

/** @throws {ConfigError} Bitbucket shows no repository of one. */
async function checkProjects(
  workspace: MirroredWorkspace,
  keys: readonly string[],
  known: readonly KnownRepository[],
  options: SelectOptions,
): Promise<void> {
  const knownKeys = new Set(known.map(({ projectKey }) => projectKey?.toUpperCase()));
  const unknownKeys = keys.filter((key) => !knownKeys.has(key.toUpperCase()));
  if (unknownKeys.length === 0) return;
  const api = await bitbucketOf(options).apiOf(workspace, (fetch) => fetch);
  for (const projectKey of unknownKeys) {
    const shown = api.repositories(workspace.workspace, { projectKey: projectKey.toUpperCase() });
    if ((await firstOf(shown)) === undefined)
      throw new ConfigError(
        `Bitbucket shows no repository of project ${projectKey} to this account: check the key, or give --no-check`,
      );
  }
}

function show(
  workspace: MirroredWorkspace,
  known: readonly KnownRepository[] | undefined,
  showsNames: boolean,
): void {
  const { workspace: name, projects, include, exclude, publicRepositories, retentionDays } = workspace;
  const list = (items: readonly string[]) => (items.length === 0 ? "none" : items.join(", "));
  print(`${name}:`);
  print(`  projects: ${projects === "all" ? "all" : list(projects)}`);
  print(`  include: ${list(include)}; exclude: ${list(exclude)}`);
  print(`  public repositories: ${publicRepositories ? "mirrored" : "skipped"}`);
  print(`  data of repositories that are no longer mirrored is kept for ${counted(retentionDays, "day")}`);
  if (known === undefined) {
    print("  Bitbucket has not been asked for its repositories yet: a running mirror asks within seconds.");
    print(
      `  To see what would be selected: nearside select ${name} --dry-run; what is mirrored: nearside status.`,
    );
    return;
  }
  const selected = known.filter((entry) => selects(workspace, { ...entry, workspace: name }));
  print(`  ${selected.length} of ${known.length} known repositories are selected`);
  if (showsNames) for (const { slug } of selected) print(`    ${name}/${slug}`);
}

function collectNames(value: string, before: readonly string[] | boolean | undefined): string[] {
  return [...(Array.isArray(before) ? before : []), value];
}
