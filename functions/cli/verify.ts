/** `nearside verify` */
import type { Command } from "commander";
import { ConfigError, MirrorError, NotFoundError } from "../../lib/errors.ts";
import { checkLfsFiles } from "../../lib/lfs/check-files.ts";
import { findWorkspace, type MirrorConfig, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryStatus } from "../../lib/mirror/mirror-status.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import type { RefChange } from "../../lib/sync/ref-changes.ts";
import { checkObjects, compareWithPrimary } from "../../lib/sync/verify-repository.ts";
import { temporaryFolderIn } from "../local/open-store.ts";
import {
  bitbucketOf,
  configOf,
  type PrimaryOptions,
  primaryOptions,
  print,
  storeOf,
} from "./command-options.ts";
import { explain, Findings } from "./explain.ts";
import { fullName, namedRepositories } from "./named-repositories.ts";
import { printJson } from "./print-json.ts";
import { counted } from "./table.ts";

interface VerifyOptions extends PrimaryOptions {
  readonly deep?: true;
  readonly lfs?: true;
  readonly json?: true;
}

interface Verdict {
  readonly repository: string;
  /** Absent where it is unknown. */
  readonly isGood: boolean;
  readonly problems: readonly string[];
  readonly refCount?: number;
  readonly objectCount?: number;
  readonly lfsFileCount?: number;
  /** Of these, not there or with other bytes. */
  readonly badLfsFileCount?: number;
}

const MAX_CHANGES_SHOWN = 10;

const EXPLANATION = `
Asks Bitbucket for each repository's refs and compares them, HEAD too. A push just now shows as a difference: sync, and verify again.
--deep also reads all stored objects: each is inflated, hashed and compared with the index, and all that objects and refs name must
exist. It needs disk space for the largest pack, beside the folder store or in TMPDIR.
--lfs checks that every LFS file that the mirror would serve is in the store with its size, with --deep also its bytes. One that is not:
nearside lfs forget, then nearside sync.
Exit codes: 0 all equal and whole; 1 failed; 2 wrong arguments or settings; 3 something differs, is damaged or could not be asked for.`;

export function configure(command: Command): void {
  primaryOptions(command)
    .argument("[names...]", "workspace or workspace/repository; all unless given")
    .option("--deep", "check every object in the store as well")
    .option("--lfs", "check the LFS files in the store as well; with --deep their bytes too")
    .option("--json", "print JSON")
    .addHelpText("after", EXPLANATION)
    .action(verify);
}

async function verify(names: readonly string[], options: VerifyOptions): Promise<void> {
  const store = storeOf(options);
  const config = await configOf(store);
  const repositories = await namedRepositories(store, config, names);
  if (repositories.length === 0)
    throw new ConfigError("nothing is mirrored yet: see nearside connect and nearside select", {
      lacks: "workspace",
    });
  const verdicts: Verdict[] = [];
  const checkedFiles = new Set<string>();
  for (const repository of repositories) {
    const verdict = await verifyOne(repository, config, { ...options, checkedFiles });
    verdicts.push(verdict);
    if (!options.json) print(describe(verdict));
  }
  if (options.json) printJson("verify", verdicts);
  const badCount = verdicts.filter(({ isGood }) => !isGood).length;
  if (!options.json)
    print(`${verdicts.length - badCount} of ${verdicts.length} repositories are as they should be.`);
  if (badCount === 0) return;
  if (!options.json) for (const line of advice(verdicts)) print(line);
  throw new Findings();
}

async function verifyOne(
  status: RepositoryStatus,
  config: MirrorConfig,
  options: VerifyOptions & { readonly checkedFiles: Set<string> },
): Promise<Verdict> {
  const store = storeOf(options);
  const problems: string[] = [];
  const name = fullName(status);
  let counts = {};
  try {
    const repository = await openRepository({ store, blocks: new BlockCache(store) }, status.uuid);
    counts = { refCount: repository.manifest.refs.refCount };
    const workspace = findWorkspace(config, status.workspace) ?? unlisted(status.workspace);
    const { upstreamOf } = await bitbucketOf(options).primaryOf(workspace);
    const { changes, isSameHead } = await compareWithPrimary(repository, upstreamOf(status.uuid, status));
    problems.push(...describeChanges(changes));
    if (!isSameHead) problems.push("HEAD differs");
  } catch (error) {
    problems.push(reasonOf(error, status));
  }
  if (options.deep && status.published !== undefined) {
    try {
      const repository = await openRepository({ store, blocks: new BlockCache(store) }, status.uuid);
      const temporaryFolder = temporaryFolderIn(options.store);
      const { objectCount, ...check } = await checkObjects(repository, { store, temporaryFolder });
      counts = { ...counts, objectCount };
      problems.push(...check.problems);
    } catch (error) {
      problems.push(reasonOf(error, status));
    }
  }
  if (options.lfs) {
    try {
      const checks = { store, deep: options.deep === true, checked: options.checkedFiles };
      const { fileCount: lfsFileCount, ...check } = await checkLfsFiles(status.uuid, checks);
      counts = { ...counts, lfsFileCount, badLfsFileCount: check.problems.length };
      problems.push(...check.problems);
    } catch (error) {
      problems.push(reasonOf(error, status));
    }
  }
  return { repository: name, isGood: problems.length === 0, problems, ...counts };
}

/** For a workspace that a mirror got as an argument: public, as no account is known for it. */
function unlisted(workspace: string) {
  const [only] = mirrorConfigOf([{ workspace, projects: "all" }]).workspaces;
  if (only === undefined) throw new ConfigError(`not a workspace: ${workspace}`);
  return only;
}

const NOT_SHOWN =
  "Bitbucket does not show it to the mirror's account: it lacks the right to read it, or the repository was deleted";

/** An error that is not a MirrorError is a bug, and ends the command. */
function reasonOf(error: unknown, { published, noAccess }: RepositoryStatus): string {
  if (error instanceof NotFoundError)
    return published === undefined && noAccess === undefined
      ? "not mirrored yet: its first sync is due"
      : NOT_SHOWN;
  if (error instanceof MirrorError) return explain(error);
  throw error;
}

function describeChanges(changes: readonly RefChange[]): string[] {
  const shown = changes.slice(0, MAX_CHANGES_SHOWN).map(({ name, oldId, newId }) => {
    const visible = name.replace(/\P{ASCII}|\p{Cc}/gu, "?");
    if (oldId === undefined) return `${visible} is missing here, and ${newId} at Bitbucket`;
    if (newId === undefined) return `${visible} is ${oldId} here, and gone from Bitbucket`;
    return `${visible} is ${oldId} here, and ${newId} at Bitbucket`;
  });
  const more = changes.length - shown.length;
  return more > 0 ? [...shown, `and ${counted(more, "more ref")}`] : shown;
}

function advice(verdicts: readonly Verdict[]): string[] {
  const hasBadFiles = verdicts.some(({ badLfsFileCount = 0 }) => badLfsFileCount > 0);
  const isHidden = ({ problems }: Verdict) => problems.includes(NOT_SHOWN);
  const hasOthers = verdicts.some(
    (one) => !isHidden(one) && one.problems.length > (one.badLfsFileCount ?? 0),
  );
  return [
    ...(verdicts.some(isHidden)
      ? [
          "nearside status --failed says since when, and what to do about a missing right: nearside sync cannot mend it.",
        ]
      : []),
    ...(hasOthers ? ["Run nearside sync: it brings them in step, and repairs damage in the store."] : []),
    ...(hasBadFiles
      ? [
          "Run nearside lfs forget <oid> for each LFS file named above, then nearside sync: it copies them again.",
        ]
      : []),
  ];
}

function describe({ repository, isGood, problems, refCount, objectCount, lfsFileCount }: Verdict): string {
  const objects = objectCount === undefined ? "" : `, ${counted(objectCount, "object")}`;
  const files = lfsFileCount === undefined ? "" : `, ${counted(lfsFileCount, "LFS file")}`;
  if (isGood) return `${repository}: equal, ${counted(refCount ?? 0, "ref")}${objects}${files}`;
  return [`${repository}: NOT as it should be`, ...problems.map((problem) => `  ${problem}`)].join("\n");
}
