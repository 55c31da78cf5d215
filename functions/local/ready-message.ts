/** What the local mirror prints when it is ready. */

import type { NodeServer } from "../../lib/http/node-server.ts";
import { findWorkspace, type MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { readMirrorStatus, type WorkspaceStatus } from "../../lib/mirror/mirror-status.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { PublishedOutcome } from "../../lib/sync/publish-fetched.ts";
import { printJson } from "../cli/print-json.ts";
import { counted, visible } from "../cli/table.ts";
import type { Arguments } from "./arguments.ts";
import { formatBytes } from "./progress-line.ts";

export function printReady(
  server: NodeServer,
  fullNames: readonly string[],
  options: Arguments,
  demoGitUrl: string | undefined,
  reasons: readonly string[],
): void {
  const entries = fullNames.map((fullName) => ({ fullName, cloneUrl: `${server.url}/${fullName}.git` }));
  const primary = { gitUrl: options.gitUrl, apiUrl: options.apiUrl };
  if (options.json) {
    printJson("server", { url: server.url, repositories: entries, primary }, true);
    return;
  }
  const lines = [
    `The mirror is ready at ${server.url} with ${counted(entries.length, "repository", "repositories")}, asking the primary every ${options.pollSeconds} s.`,
  ];
  lines.push(...reasons.map((reason) => `  ${reason}`));
  for (const { cloneUrl } of entries.slice(0, 10)) lines.push(`  git clone ${cloneUrl}`);
  if (entries.length > 10) lines.push(`  … and ${entries.length - 10} more`);
  if (demoGitUrl !== undefined) {
    const host = demoGitUrl.replace("://", "://developer:developer@");
    lines.push("", "What it mirrors, a small Bitbucket Cloud on this machine; push here and see it arrive:");
    for (const fullName of fullNames) lines.push(`  git clone ${host}/${fullName}.git primary`);
  }
  lines.push("", "Ctrl-C ends it; what is mirrored stays.");
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** @returns For each workspace why nothing of it is served. */
export async function reasonsForNone(store: BlobStore, config: MirrorConfig): Promise<string[]> {
  if (config.workspaces.length === 0)
    return ["Nothing is selected: begin with nearside connect <workspace>."];
  const statuses = await readMirrorStatus(store, config);
  return statuses.map((one) => {
    const { projects, include } = findWorkspace(config, one.workspace) ?? {};
    const reason =
      projects?.length === 0 && include?.length === 0
        ? `nothing of it is selected yet: nearside select ${one.workspace} --all.`
        : reasonForNone(one);
    return visible(`${one.workspace}: ${reason}`);
  });
}

function reasonForNone({ workspace, mode, listedAt, knownCount, repositories }: WorkspaceStatus): string {
  if (mode !== "active") return `it is ${mode}.`;
  if (listedAt === undefined)
    return "Bitbucket has not given a list of its repositories yet: nearside doctor says why.";
  const selected = repositories.filter(({ isSelected }) => isSelected);
  if (selected.length > 0)
    return `${counted(selected.length, "repository is", "repositories are")} selected, and not synchronized yet: nearside status.`;
  if (knownCount === 0)
    return `Bitbucket shows none of the selected repositories to this account: give it the right to read them, or change the selection (nearside select ${workspace}).`;
  return `none of ${counted(knownCount, "repository", "repositories")} is selected: nearside select ${workspace} --all.`;
}

export function describePublished(outcome: PublishedOutcome): string {
  const { generation, changes, objects, receivedBytes } = outcome;
  const refs = counted(changes.length, "ref");
  return `generation ${generation}, ${refs} changed, ${counted(objects, "object")}, ${formatBytes(receivedBytes)}`;
}
