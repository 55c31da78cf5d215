/**
 * Takes Bitbucket's deliveries: checks who sent them, and puts a job into the queue. Bitbucket waits ten seconds, and sends
 * again only after an answer of 5xx, three times in all; so there is one read, then one message and one note, between request and
 * answer.
 */
import { createHash } from "node:crypto";
import { type AddressRange, addressMatcher } from "../address-ranges.ts";
import { RequestRate } from "../auth/request-limits.ts";
import { errorFields, insteadOf, LimitExceededError, ProtocolError } from "../errors.ts";
import { addressBlock } from "../http/address-block.ts";
import { Admission } from "../http/admission.ts";
import { BodyAdmission } from "../http/body-admission.ts";
import type { BodyTime } from "../http/body-within.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";
import { findWorkspace, type MirrorConfig } from "../mirror/mirror-config.ts";
import { isActive, isMirrored } from "../mirror/selection.ts";
import type { SyncJob, SyncRequests } from "../mirror/sync-job.ts";
import { readBody } from "../read-body.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { isNameSegment } from "../repo/names.ts";
import { secretKeys } from "../secret-keys.ts";
import { DeliveryIds } from "./delivery-ids.ts";
import { isSigned, SIGNATURE_PATTERN, workspaceSecret } from "./signature.ts";
import { readWebhookEvent } from "./webhook-event.ts";

/** Before the workspace's name. */
export const WEBHOOK_PATH = "/-/webhooks/";

/** Bitbucket sends nothing above 256 kB. */
const MAX_BODY_BYTES = 512 * 1024;

/** Bodies at a time: until it is whole, its signature cannot be checked. */
const READING = {
  maxRunning: 32,
  maxRunningOfCaller: 16,
  shareOfFree: 1,
  maxWaiting: 1_000,
  maxWaitingOfCaller: 500,
  maxWaitMs: 8_000,
  slack: { startMs: 1_000, maxMs: 1_000 },
};
/**
 * Bodies that are whole, until the answer: the secret, the configuration or the queue may be slow. That concerns all callers alike, so
 * one that waits too long gets 503, after which Bitbucket sends again.
 */
const HOLDING = {
  ...{ maxRunning: 64, maxRunningOfCaller: 64 },
  ...{ maxWaiting: READING.maxRunning, maxWaitingOfCaller: READING.maxRunning },
  maxWaitMs: 3_000,
};
/** Bitbucket sends a body at once, and waits ten seconds for the answer. */
const BODY_TIME = { maxMs: 5_000, maxIdleMs: 5_000 };

/** Of one repository, or project events of one workspace: more than a burst of pushes, which takes few syncs. Reconcile finds what is refused, within five minutes. */
const MAX_EVENTS_PER_MINUTE = 600;

export interface ReceiveWebhookOptions {
  /**
   * The mirror's secret, as `secretKeys` reads it.
   * @param isRefused - The last one did not fit a signature: it may have been replaced since it was read.
   */
  readonly readSecret: (isRefused: boolean) => Promise<string>;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly requests: SyncRequests;
  /** Marks a push for other processes before its sync; absent where one process serves and reads the queue. */
  readonly notePush?: (uuid: RepositoryUuid, at: Date) => Promise<void>;
  readonly log: Logger;
  /** Where deliveries may come from; none: from anywhere. The signature counts in any case. */
  readonly addresses?: readonly AddressRange[];
  readonly now?: () => Date;
  readonly bodyTime?: BodyTime;
}

export function receiveWebhook(options: ReceiveWebhookOptions): HttpHandler {
  const { addresses = [], now = () => new Date(), bodyTime = BODY_TIME } = options;
  const nowMs = () => now().getTime();
  const limits = { rate: new RequestRate(MAX_EVENTS_PER_MINUTE, nowMs), ids: new DeliveryIds(nowMs) };
  const reading = new BodyAdmission(READING);
  const holding = new Admission(HOLDING);
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
    const signature = request.headers["x-hub-signature"];
    if (signature === undefined || !SIGNATURE_PATTERN.test(signature.trim()))
      return badSignature(workspace, options.log);
    const sender = { caller: addressBlock(address), signal: request.signal };
    let held: Promise<() => void> | undefined;
    // A body that is whole keeps its place for reading until it has one here.
    async function* untilHeld(): AsyncGenerator<Uint8Array, void, undefined> {
      yield* request.body;
      held = holding.enter(sender.caller, sender.signal);
      await held;
    }
    try {
      const readingBody = readBody(reading.read(sender, untilHeld(), bodyTime), MAX_BODY_BYTES, "the event");
      const body = await readingBody.catch(insteadOf(LimitExceededError, undefined));
      if (body === undefined) return textResponse(413, `longer than ${MAX_BODY_BYTES} bytes`);
      if (!(await isFromBitbucket(workspace, body, signature, options)))
        return badSignature(workspace, options.log);
      return await take(workspace, body, request, { ...options, ...limits });
    } finally {
      void held?.then(
        (end) => end(),
        () => undefined,
      );
    }
  };
}

async function isFromBitbucket(
  workspace: string,
  body: Uint8Array,
  signature: string,
  { readSecret }: ReceiveWebhookOptions,
): Promise<boolean> {
  const fits = (text: string) =>
    secretKeys(text).some((secret) => isSigned(body, workspaceSecret(secret, workspace), signature));
  const text = await readSecret(false);
  if (fits(text)) return true;
  const newText = await readSecret(true);
  return newText !== text && fits(newText);
}

function badSignature(workspace: string, log: Logger): HttpResponse {
  log.warn("webhook:bad-signature", { workspace });
  return textResponse(401, "the signature is missing or wrong");
}

interface TakeOptions extends ReceiveWebhookOptions {
  readonly rate: RequestRate;
  readonly ids: DeliveryIds;
}

async function take(
  workspace: string,
  body: Uint8Array,
  request: HttpRequest,
  options: TakeOptions,
): Promise<HttpResponse> {
  const { log, requests, rate, ids, now = () => new Date() } = options;
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
  const subject = job.kind === "repository" ? job.uuid : `workspace ${workspace.toLowerCase()}`;
  const hash = createHash("sha256").update(eventKey).update("\n").update(body).digest("hex");
  const { delivery, isNewBody } = ids.of(subject, hash);
  if (delivery.queued !== undefined) {
    await delivery.queued;
    return textResponse(202, "queued");
  }
  // Only what is new counts, so that replays of one body do not keep others out.
  const retryAfterSeconds = isNewBody ? rate.take(subject) : 0;
  if (retryAfterSeconds > 0) {
    log.warn("webhook:limited", { workspace, subject, eventKey });
    return textResponse(429, `too many events of ${subject}`, { "retry-after": String(retryAfterSeconds) });
  }
  const work = Promise.all([requests.request([{ job, eventId: delivery.id }]), notePush(job, options)]);
  await ids.remember(hash, delivery, work);
  log.info("webhook:queued", { workspace, eventKey, ...(job.kind === "repository" && { uuid: job.uuid }) });
  return textResponse(202, "queued");
}

/** Only where `concerns` has seen that it is mirrored. */
async function notePush(job: SyncJob, { notePush: note, log }: ReceiveWebhookOptions): Promise<void> {
  if (note === undefined || job.kind !== "repository") return;
  if (job.reason !== "push" || job.facts === undefined) return;
  try {
    await note(job.uuid, new Date(job.queuedAt));
  } catch (error) {
    // The push is synchronized all the same; requests just do not wait for it.
    log.warn("webhook:push-not-noted", { uuid: job.uuid, ...errorFields(error) });
  }
}

/** A push to what is not mirrored is none of ours; any other event may change whether it is. */
function concerns(job: SyncJob, config: MirrorConfig): boolean {
  const workspace = findWorkspace(config, job.workspace);
  if (workspace === undefined || !isActive(workspace)) return false;
  if (job.kind !== "repository" || job.reason !== "push" || job.facts === undefined) return true;
  return isMirrored(config, { ...job.facts, workspace: job.workspace });
}
