/**
 * Takes Bitbucket's deliveries: checks who sent them, and puts a job into the queue. Bitbucket waits ten seconds, and sends
 * again only after an answer of 5xx, three times in all; so there is one read, then one message and one note, between request and
 * answer.
 */
import { randomUUID } from "node:crypto";
import { type AddressRange, addressMatcher } from "../address-ranges.ts";
import { errorFields, ProtocolError } from "../errors.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";
import { findWorkspace, type MirrorConfig } from "../mirror/mirror-config.ts";
import { isActive, isMirrored } from "../mirror/selection.ts";
import type { SyncJob, SyncRequests } from "../mirror/sync-job.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { isNameSegment } from "../repo/names.ts";
import { isSigned, workspaceSecret } from "./signature.ts";
import { readWebhookEvent } from "./webhook-event.ts";

/** Before the workspace's name. */
export const WEBHOOK_PATH = "/-/webhooks/";

/** Bitbucket sends nothing above 256 kB. */
const MAX_BODY_BYTES = 512 * 1024;

export interface ReceiveWebhookOptions {
  /** The mirror's secret. */
  readonly readSecret: () => Promise<string>;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly requests: SyncRequests;
  /** Marks a push for other processes before its sync; absent where one process serves and reads the queue. */
  readonly noteAnnounced?: (uuid: RepositoryUuid, at: Date) => Promise<void>;
  readonly log: Logger;
  /** Where deliveries may come from; none: from anywhere. The signature counts in any case. */
  readonly addresses?: readonly AddressRange[];
  readonly now?: () => Date;
}

export function receiveWebhook(options: ReceiveWebhookOptions): HttpHandler {
  const { addresses = [] } = options;
  const mayDeliver = addresses.length === 0 ? () => true : addressMatcher(addresses);
  return async (request) => {
    const workspace = request.path.slice(WEBHOOK_PATH.length);
    if (!request.path.startsWith(WEBHOOK_PATH) || !isNameSegment(workspace)) {
      return textResponse(404, "not found");
    }
    if (request.method !== "POST") return textResponse(405, "use POST", { allow: "POST" });
    const { remoteAddress: address = "" } = request;
    if (!mayDeliver(address)) {
      options.log.warn("webhook:wrong-address", { workspace, address });
      return textResponse(403, "webhooks are not taken from this address");
    }
    const body = await readBody(request);
    if (body === undefined) return textResponse(413, `longer than ${MAX_BODY_BYTES} bytes`);
    const { log } = options;
    const secret = workspaceSecret(await options.readSecret(), workspace);
    if (!isSigned(body, secret, request.headers["x-hub-signature"])) {
      log.warn("webhook:bad-signature", { workspace, bytes: body.length });
      return textResponse(401, "the signature is missing or wrong");
    }
    return take(workspace, body, request, options);
  };
}

async function take(
  workspace: string,
  body: Uint8Array,
  request: HttpRequest,
  options: ReceiveWebhookOptions,
): Promise<HttpResponse> {
  const { log, requests, now = () => new Date() } = options;
  const eventKey = request.headers["x-event-key"] ?? "";
  let job: SyncJob | undefined;
  try {
    job = readWebhookEvent(eventKey, body, workspace, now());
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    log.warn("webhook:not-understood", {
      workspace,
      eventKey: eventKey.slice(0, 100),
      ...errorFields(error),
    });
    return textResponse(400, error.message);
  }
  if (job === undefined || !concerns(job, await options.readConfig())) {
    log.debug("webhook:ignored", { workspace, eventKey: eventKey.slice(0, 100) });
    return textResponse(202, "ignored");
  }
  await Promise.all([requests.request([{ job, eventId: eventIdOf(request) }]), noteAnnounced(job, options)]);
  log.info("webhook:queued", { workspace, eventKey, ...(job.kind === "repository" && { uuid: job.uuid }) });
  return textResponse(202, "queued");
}

/** Only where `concerns` has seen that it is mirrored. */
async function noteAnnounced(
  job: SyncJob,
  { noteAnnounced: note, log }: ReceiveWebhookOptions,
): Promise<void> {
  if (note === undefined || job.kind !== "repository") return;
  if (job.reason !== "push" || job.facts === undefined) return;
  try {
    await note(job.uuid, new Date(job.queuedAt));
  } catch (error) {
    // The push is synchronized all the same; requests just do not wait for it.
    log.warn("webhook:not-announced", { uuid: job.uuid, ...errorFields(error) });
  }
}

/** A push to what is not mirrored is none of ours; any other event may change whether it is. */
function concerns(job: SyncJob, config: MirrorConfig): boolean {
  const workspace = findWorkspace(config, job.workspace);
  if (workspace === undefined || !isActive(workspace)) return false;
  if (job.kind !== "repository" || job.reason !== "push" || job.facts === undefined) return true;
  return isMirrored(config, { ...job.facts, workspace: job.workspace });
}

/** Bitbucket keeps the request's id when it sends again. Without one nothing is dropped: each event counts. */
function eventIdOf({ headers }: HttpRequest): string {
  const parts = [headers["x-hook-uuid"], headers["x-request-uuid"]];
  const isUsable = parts.every((part) => part !== undefined && /^[A-Za-z0-9{}-]{8,50}$/.test(part));
  return `webhook-${isUsable ? parts.join("-") : randomUUID()}`;
}

async function readBody({ body }: HttpRequest): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let totalBytes = 0;
  for await (const chunk of body) {
    totalBytes += chunk.length;
    if (totalBytes > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
