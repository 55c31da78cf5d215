/** What the local mirror prints when it is ready. */
import type { NodeServer } from "../../lib/http/node-server.ts";
import type { PublishedOutcome } from "../../lib/sync/publish-fetched.ts";
import type { Arguments } from "./arguments.ts";
import { formatBytes } from "./progress-line.ts";

export function announce(
  server: NodeServer,
  fullNames: readonly string[],
  options: Arguments,
  demoGitUrl: string | undefined,
): void {
  const entries = fullNames.map((fullName) => ({ fullName, cloneUrl: `${server.url}/${fullName}.git` }));
  const primary = { gitUrl: options.gitUrl, apiUrl: options.apiUrl };
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ url: server.url, repositories: entries, primary })}\n`);
    return;
  }
  const lines = [
    `The mirror is ready at ${server.url} with ${counted(entries.length, "repository", "repositories")}, asking the primary every ${options.pollSeconds} s.`,
  ];
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

export function describePublished(outcome: PublishedOutcome): string {
  const { generation, changes, objects, receivedBytes } = outcome;
  const refs = counted(changes.length, "ref", "refs");
  return `generation ${generation}, ${refs} changed, ${objects} objects, ${formatBytes(receivedBytes)}`;
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
