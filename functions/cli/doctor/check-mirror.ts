/** Whether the mirror answers at its address, does its rounds, and has given up nothing. */
import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { describeAge } from "../../../lib/age.ts";
import type { MirroredWorkspace } from "../../../lib/mirror/mirror-config.ts";
import { hasLostAccess, type WorkspaceStatus } from "../../../lib/mirror/mirror-status.ts";
import { readWorkspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import { KeptDeadLetters } from "../../../lib/queue/kept-messages.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { WEBHOOK_PATH } from "../../../lib/webhook/receive-webhook.ts";
import { LOCAL_QUEUES, StoredMessages } from "../../local/stored-messages.ts";
import { sqsOf } from "../command-options.ts";
import { counted } from "../table.ts";
import { type Finding, fail, failedWith, ok } from "./finding.ts";

/** A complete list is made every six hours. */
const MAX_LIST_AGE_MS = 13 * 3_600_000;
const TIMEOUT_MS = 15_000;

/** As Bitbucket reaches it, and git; nothing is changed by either. */
export async function checkAddress(mirrorUrl: string, workspace: string): Promise<Finding[]> {
  return [
    await asked("mirror: takes webhooks", [401], `${mirrorUrl}${WEBHOOK_PATH}${workspace}`, {
      method: "POST",
      body: "{}",
    }),
    await asked(
      "mirror: serves git",
      [200, 401, 404],
      `${mirrorUrl}/${workspace}/nearside-doctor.git/info/refs?service=git-upload-pack`,
      { headers: { "git-protocol": "version=2" } },
    ),
  ];
}

async function asked(
  check: string,
  expected: readonly number[],
  url: string,
  init: RequestInit,
): Promise<Finding> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { ...init, redirect: "manual", signal });
    await response.body?.cancel();
    if (expected.includes(response.status))
      return ok(check, `${new URL(url).origin} can be reached from here`);
    const advice =
      response.status === 403
        ? "Only addresses of the allow list are let in (allowedAddresses, --allow-address): is this one of them?"
        : "Something else answers there, or the mirror fails: see its log, and the proxy or DNS in front of it.";
    return fail(check, `${url} answers ${response.status}`, advice);
  } catch (error) {
    const advice = "Check DNS, TLS certificate and firewall: Bitbucket has to reach this address, too.";
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    return failedWith(check, new Error(`${url} cannot be reached`, { cause }), advice);
  }
}

export async function checkRounds({ workspace }: MirroredWorkspace, store: BlobStore): Promise<Finding> {
  const check = `${workspace}: rounds`;
  const advice =
    "Is the mirror running? Locally: npm start. Deployed: see the reconcile function's log and schedule.";
  const { value: index } = await readWorkspaceIndex(store, workspace);
  if (index?.listedAt === undefined)
    return fail(check, "the mirror has never listed its repositories", advice);
  const ageMs = Date.now() - Date.parse(index.listedAt);
  const detail = `all repositories were listed ${describeAge(ageMs)} ago`;
  return ageMs > MAX_LIST_AGE_MS ? fail(check, detail, advice) : ok(check, detail);
}

const MAX_FAILURES_SHOWN = 5;

/** Whether the last sync of each repository went well. */
export function checkRepositories({ workspace, repositories }: WorkspaceStatus): Finding {
  const check = `${workspace}: repositories`;
  // Those that the account cannot see are another check's.
  const visible = repositories.filter(
    (one) => one.isSelected && (one.damage !== undefined || !hasLostAccess(one)),
  );
  const failed = visible.filter(({ damage, state }) => damage !== undefined || state.startsWith("ERROR_"));
  if (failed.length === 0)
    return ok(check, `the last sync of none has failed, of ${visible.length} that Bitbucket shows`);
  const shown = failed
    .slice(0, MAX_FAILURES_SHOWN)
    .map(({ slug, damage, lastError }) => `${slug}: ${damage ?? lastError?.message ?? "failed"}`);
  const more = failed.length > shown.length ? [`and ${failed.length - shown.length} more`] : [];
  const isUnsupported = failed.some(({ lastError }) => lastError?.code === "UNSUPPORTED");
  const advice = isUnsupported
    ? `What cannot be mirrored can be left out: nearside select ${workspace} --exclude <repository>.`
    : "See nearside status --failed; nearside sync tries them again now.";
  return fail(check, [...shown, ...more].join("; "), advice);
}

const LETTER_ADVICE = "See what failed with nearside dead-letters list; replay them when the cause is gone.";

export async function checkDeadLetters(store: BlobStore): Promise<Finding> {
  const check = "dead letters";
  let count = 0;
  for (const name of LOCAL_QUEUES)
    count += (await new KeptDeadLetters(new StoredMessages(store, name)).list(1_000)).length;
  return count === 0 ? ok(check, "none in the store") : fail(check, `${count} in the store`, LETTER_ADVICE);
}

/** @param isDead - Whether messages in it are dead letters. */
export async function checkQueue(check: string, queueUrl: string, isDead: boolean): Promise<Finding> {
  try {
    const { Attributes: attributes } = await sqsOf(queueUrl).send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["ApproximateNumberOfMessages"] }),
    );
    const count = Number(attributes?.["ApproximateNumberOfMessages"] ?? 0);
    if (isDead && count > 0) return fail(check, counted(count, "message"), LETTER_ADVICE);
    return ok(check, `${counted(count, "message waits", "messages wait")}`);
  } catch (error) {
    return failedWith(check, error, "Check the queue's address, and the right sqs:GetQueueAttributes.");
  }
}
