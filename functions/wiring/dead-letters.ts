/** Dead letters, whichever queue's: what one is about, and those of one workspace. */
import { ProtocolError } from "../../lib/errors.ts";
import { parseLfsJob } from "../../lib/lfs/lfs-job.ts";
import { parseSyncJob } from "../../lib/mirror/sync-job.ts";
import type { Administration } from "../../lib/pages/ports.ts";
import type { DeadLetters } from "../../lib/queue/job-queue.ts";
import { parseRelayMessage } from "../../lib/relay/relay-message.ts";
import { counted } from "../cli/table.ts";

/** On a page, and at a time. */
const MAX_LETTERS = 1_000;

/** @param onReplayed - Called when letters wait again. */
export function deadLettersOf(
  places: readonly DeadLetters[],
  onReplayed?: () => Promise<unknown>,
): NonNullable<Administration["deadLetters"]> {
  const isOf = (workspace: string) => (body: string) =>
    deadLetterSubject(body).workspace?.toLowerCase() === workspace.toLowerCase();
  return {
    async list(workspace) {
      const letters = await Promise.all(places.map((place) => place.list(MAX_LETTERS, isOf(workspace))));
      return letters.flat().map(({ body }) => deadLetterSubject(body).text);
    },
    async replay(workspace) {
      let count = 0;
      for (const place of places) count += await place.replay(MAX_LETTERS, isOf(workspace));
      await onReplayed?.();
      return count;
    },
  };
}

export interface DeadLetterSubject {
  /** Absent for a job of all workspaces, or of none. */
  readonly workspace?: string;
  /** For people. */
  readonly text: string;
}

export function deadLetterSubject(body: string): DeadLetterSubject {
  return (
    parsed(() => {
      const job = parseSyncJob(body);
      const { workspace } = job;
      if (job.kind === "workspace")
        return { workspace, text: `${workspace} (all of it), ${job.reason}, of ${job.queuedAt}` };
      const name = job.facts?.slug ?? job.uuid;
      return { workspace, text: `${workspace}/${name}, ${job.reason}, of ${job.queuedAt}` };
    }) ??
    parsed(() => {
      const { receiver, event } = parseRelayMessage(body);
      const { workspace, slug, generation, at } = event;
      const to = receiver.kind === "webhook" ? `webhook ${receiver.id}` : "EventBridge";
      return {
        workspace,
        text: `${workspace}/${slug}, generation ${generation} of ${at}, not relayed to ${to}`,
      };
    }) ??
    parsed(() => {
      const job = parseLfsJob(body);
      if (job.kind === "sweep") return { text: `deletion of unused LFS files, of ${job.queuedAt}` };
      const what =
        job.kind === "copy" ? `copy of ${counted(job.objects.length, "LFS file")}` : `${job.kind} LFS files`;
      return { workspace: job.workspace, text: `${job.workspace}/${job.uuid}, ${what}, of ${job.queuedAt}` };
    }) ?? { text: `not a job of this mirror: ${JSON.stringify(body.slice(0, 200))}` }
  );
}

function parsed(parse: () => DeadLetterSubject): DeadLetterSubject | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
