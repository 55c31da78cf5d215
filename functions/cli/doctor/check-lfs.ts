/** Whether Git LFS works from Bitbucket to a client, on one file of one repository. */
import type { LfsEntry } from "../../../lib/bitbucket/lfs-batch.ts";
import { isStored } from "../../../lib/lfs/bring-file.ts";
import { downloadOf } from "../../../lib/lfs/copy-file.ts";
import type { MirrorConfig, MirroredWorkspace } from "../../../lib/mirror/mirror-config.ts";
import { type RepositoryStatus, readMirrorStatus } from "../../../lib/mirror/mirror-status.ts";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { type LfsCounts, readLfsCounts } from "../../../lib/repo/lfs-counts.ts";
import { LFS_STATE, type LfsRecord } from "../../../lib/repo/lfs-rights-table.ts";
import { repositoryDocument } from "../../../lib/repo/repository-record.ts";
import { StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import type { BlobUrls } from "../../../lib/store/blob-urls.ts";
import type { BitbucketAccess } from "../../wiring/bitbucket-access.ts";
import { counted } from "../table.ts";
import { type Finding, fail, failedWith, ok, skipped } from "./finding.ts";

export interface LfsCheckOptions {
  readonly config: MirrorConfig;
  readonly store: BlobStore;
  /** Absent for a folder, whose links only its server can make. */
  readonly urls: BlobUrls | undefined;
  /** The server's address, which gets the account's credential; absent if the operator has not named it. */
  readonly mirrorUrl: string | undefined;
  readonly bitbucket: BitbucketAccess;
}

/** Two rounds to the store each. */
const MAX_REPOSITORIES = 200;
const TIMEOUT_MS = 30_000;

/** @returns One finding where no repository has LFS files; else those of the first one that has, best with a stored file. */
export async function checkLfs(workspace: MirroredWorkspace, options: LfsCheckOptions): Promise<Finding[]> {
  const check = `${workspace.workspace}: LFS`;
  try {
    const found = await findRepository(workspace.workspace, options);
    if (typeof found === "string") return [skipped(check, found)];
    const { repository, counts, record } = found;
    const files = `${repository.slug}: ${counted(counts.pointers, "file")}, ${counts.stored} stored`;
    if (record === undefined)
      return [
        fail(check, `${files}, and nothing is known of any file`, "Run nearside sync: it plans the copies."),
      ];
    const findings = [
      ok(check, files),
      await batchFinding(check, workspace, { repository, record }, options),
    ];
    if (record.state !== LFS_STATE.stored) return findings;
    const stored = await storedFinding(check, record, options);
    findings.push(stored);
    if (stored.status === "ok")
      findings.push(await linkFinding(check, workspace, { repository, record }, options));
    return findings;
  } catch (error) {
    return [failedWith(check, error, "See nearside verify --lfs.")];
  }
}

interface Found {
  readonly repository: RepositoryStatus;
  readonly counts: LfsCounts;
  /** Of a stored file, if there is one. */
  readonly record: LfsRecord | undefined;
}

/** @returns Why there is none. */
async function findRepository(
  workspace: string,
  { config, store }: LfsCheckOptions,
): Promise<Found | string> {
  const [status] = await readMirrorStatus(store, config, workspace);
  const published = (status?.repositories ?? []).filter(
    ({ isSelected, published }) => isSelected && published !== undefined,
  );
  let withoutFile: Found | undefined;
  for (const repository of published.slice(0, MAX_REPOSITORIES)) {
    const counts = await readLfsCounts(store, repository.uuid);
    if (counts === undefined || counts.pointers === 0) continue;
    let first: LfsRecord | undefined;
    let stored: LfsRecord | undefined;
    await (await new StoredLfsRights(store, repository.uuid).read()).each((record) => {
      first ??= record;
      if (record.state === LFS_STATE.stored) stored ??= record;
    });
    if (stored !== undefined) return { repository, counts, record: stored };
    withoutFile ??= { repository, counts, record: first };
  }
  const looked = Math.min(published.length, MAX_REPOSITORIES);
  const which = looked < published.length ? "the first " : "";
  return (
    withoutFile ??
    `no pointer to a Git LFS file is known, in ${which}${counted(looked, "mirrored repository", "mirrored repositories")}`
  );
}

async function batchFinding(
  prefix: string,
  workspace: MirroredWorkspace,
  { repository, record: { oid, sizeBytes, state } }: { repository: RepositoryStatus; record: LfsRecord },
  { store, bitbucket }: LfsCheckOptions,
): Promise<Finding> {
  const check = `${prefix} at Bitbucket`;
  const name = `${repository.workspace}/${repository.slug}`;
  let entry: LfsEntry | undefined;
  try {
    const { value: record } = await repositoryDocument(store, repository.uuid).read();
    if (record === undefined) return fail(check, `${name} has no record`, "Run nearside sync.");
    const primary = await bitbucket.lfsOf(workspace, { ...record, uuid: repository.uuid });
    entry = (await primary.ask([{ oid, sizeBytes }], AbortSignal.timeout(TIMEOUT_MS))).get(oid);
  } catch (error) {
    return failedWith(check, error, "Check the account's scopes, and that this machine reaches Bitbucket.");
  }
  if (entry !== undefined && downloadOf(entry) !== undefined)
    return ok(check, `it offers ${oid} of ${name} to the account`);
  const reason = entry?.error ? `${entry.error.code} ${entry.error.message ?? ""}`.trim() : "no download";
  if (state === LFS_STATE.missing) return ok(check, `it answers; ${oid} of ${name} is missing there`);
  const advice = "Push it again with git lfs push --all, or check the account's rights to the repository.";
  return fail(check, `it does not offer ${oid} of ${name}: ${reason}`, advice);
}

async function storedFinding(
  prefix: string,
  { oid, sizeBytes }: LfsRecord,
  { store }: LfsCheckOptions,
): Promise<Finding> {
  const check = `${prefix} in the store`;
  if (await isStored(store, oid, sizeBytes)) return ok(check, `${oid} has its ${counted(sizeBytes, "byte")}`);
  const advice = `nearside lfs forget ${oid}, then nearside sync; nearside verify --lfs checks the others.`;
  return fail(check, `${oid} is not there with its ${counted(sizeBytes, "byte")}`, advice);
}

interface FileOfRepository {
  readonly repository: RepositoryStatus;
  readonly record: LfsRecord;
}

/** One byte, without a credential, as a client gets it. */
async function linkFinding(
  prefix: string,
  workspace: MirroredWorkspace,
  file: FileOfRepository,
  options: LfsCheckOptions,
): Promise<Finding> {
  const check = `${prefix} link`;
  const { oid, sizeBytes } = file.record;
  if (options.urls === undefined && options.mirrorUrl === undefined)
    return skipped(check, "only the server makes links to a folder: say where it is with --mirror-url");
  let url: string | undefined;
  try {
    url =
      (await options.urls?.urlOf(lfsFileKey(oid), sizeBytes)) ??
      (await linkOfServer(workspace, file, options));
  } catch (error) {
    return failedWith(check, error, SERVER_ADVICE);
  }
  const advice =
    "Clients get the file at this address: check DNS, TLS, --s3-public-endpoint and s3:GetObject.";
  try {
    if (url === undefined)
      return fail(check, `${options.mirrorUrl} gives no link of its own for ${oid}`, SERVER_ADVICE);
    const response = await fetch(url, {
      headers: { range: `bytes=${sizeBytes - 1}-` },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    const { origin } = new URL(url);
    const total = response.headers.get("content-range")?.split("/")[1];
    if (response.status !== 206) return fail(check, `${origin} answers ${response.status}`, advice);
    if (total !== String(sizeBytes)) return fail(check, `${origin} has ${total} bytes of ${oid}`, advice);
    return ok(check, `${origin} gives ${oid} to anyone who has the link`);
  } catch (error) {
    return failedWith(check, error, advice);
  }
}

const SERVER_ADVICE =
  "See the server's log; does it serve this store, and may the account read the repository?";

/** As git-lfs asks for it. @returns `undefined` where the server links to another place, or not at all. */
async function linkOfServer(
  workspace: MirroredWorkspace,
  { repository, record: { oid, sizeBytes } }: FileOfRepository,
  { bitbucket, mirrorUrl = "" }: LfsCheckOptions,
): Promise<string | undefined> {
  const url = `${mirrorUrl}/${repository.workspace}/${repository.slug}.git`;
  const server = await bitbucket.lfsAt(workspace, url);
  const entry = (await server.ask([{ oid, sizeBytes }], AbortSignal.timeout(TIMEOUT_MS))).get(oid);
  const link = entry && downloadOf(entry)?.href;
  return link?.startsWith(new URL(mirrorUrl).origin) ? link : undefined;
}
