/** What a dead letter is about, whichever queue's. */
import { ProtocolError } from "../../lib/errors.ts";
import { parseLfsJob } from "../../lib/lfs/lfs-job.ts";
import { parseSyncJob } from "../../lib/mirror/sync-job.ts";
import { parseRelayMessage } from "../../lib/relay/relay-message.ts";
import { counted } from "../cli/table.ts";

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
