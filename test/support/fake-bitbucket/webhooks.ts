/** Webhook subscriptions, in memory, and their delivery as Bitbucket does it. */
import { createHmac, randomUUID } from "node:crypto";
import * as z from "zod";
import type { Controls } from "./controls.ts";
import { type Json, timestamp } from "./shapes.ts";

export const webhookInputSchema = z.object({
  url: z.url(),
  description: z.string().default(""),
  active: z.boolean().default(true),
  events: z.array(z.string()).min(1),
  secret: z.string().max(128).nullish(),
});

type WebhookInput = z.infer<typeof webhookInputSchema>;

/** `everywhere` is not Bitbucket's: a webhook given at start, for all workspaces, that REST does not show. */
export type WebhookSubject =
  | { readonly kind: "everywhere" }
  | { readonly kind: "workspace"; readonly workspace: string }
  | { readonly kind: "repository"; readonly repositoryUuid: string };

interface Webhook extends WebhookInput {
  readonly uuid: string;
  readonly subject: WebhookSubject;
  readonly createdAt: Date;
}

/** Where something happened: to a repository, or to what else is in a workspace. */
interface EventSource {
  readonly workspace: string;
  readonly uuid?: string;
}

const MAX_ATTEMPTS = 3;
/** Above this, Bitbucket sends nothing and says nothing. */
const MAX_PAYLOAD_BYTES = 256 * 1024;

export interface DeliveryTiming {
  /** Bitbucket waits 10 s. */
  readonly timeoutMs: number;
  readonly retryDelayMs: number;
}

export class Webhooks {
  readonly #webhooks: Webhook[] = [];
  readonly #controls: Controls;
  readonly #timing: DeliveryTiming;
  readonly #closing = new AbortController();

  constructor(controls: Controls, timing: DeliveryTiming) {
    this.#controls = controls;
    this.#timing = timing;
  }

  add(subject: WebhookSubject, input: WebhookInput): Webhook {
    const webhook = { ...input, subject, uuid: randomUUID(), createdAt: new Date() };
    this.#webhooks.push(webhook);
    return webhook;
  }

  list(subject: WebhookSubject): Webhook[] {
    return this.#webhooks.filter((webhook) => isSameSubject(webhook.subject, subject));
  }

  /** @param changes - `null` removes it. */
  replace(webhook: Webhook, changes: WebhookInput | null): Webhook {
    const replaced = { ...webhook, ...changes };
    const at = this.#webhooks.findIndex(({ uuid }) => uuid === webhook.uuid);
    this.#webhooks.splice(at, 1, ...(changes === null ? [] : [replaced]));
    return replaced;
  }

  /** Sends the event to all who asked for it. Resolves when delivered or given up. */
  async send(eventKey: string, source: EventSource, payload: Json): Promise<void> {
    const body = JSON.stringify(payload);
    if (this.#controls.misbehaviour.dropWebhooks || Buffer.byteLength(body) > MAX_PAYLOAD_BYTES) return;
    const subscribed = this.#webhooks.filter(
      (webhook) => webhook.active && webhook.events.includes(eventKey) && concerns(webhook.subject, source),
    );
    await Promise.all(subscribed.map((webhook) => this.#deliver(webhook, eventKey, body)));
  }

  /** Gives up what is under way. */
  close(): void {
    this.#closing.abort();
  }

  /** Only an answer 5xx is tried again. */
  async #deliver(webhook: Webhook, eventKey: string, body: string): Promise<void> {
    const requestUuid = randomUUID();
    for (let attempt = 1; attempt <= MAX_ATTEMPTS && !this.#closing.signal.aborted; attempt++) {
      const sentAtMs = performance.now();
      const status = await this.#post(webhook, body, {
        "X-Event-Key": eventKey,
        "X-Hook-UUID": webhook.uuid,
        "X-Request-UUID": requestUuid,
        "X-Attempt-Number": String(attempt),
      });
      this.#controls.deliveries.push({
        hookUuid: webhook.uuid,
        requestUuid,
        eventKey,
        attempt,
        status,
        sentAtMs,
      });
      if (status === undefined || status < 500) return;
      await new Promise((resolve) => setTimeout(resolve, this.#timing.retryDelayMs));
    }
  }

  /** @returns The status, or nothing when there was no answer. */
  async #post(
    webhook: Webhook,
    body: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<number | undefined> {
    try {
      const response = await fetch(webhook.url, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "User-Agent": "Bitbucket-Webhooks/2.0",
          ...headers,
          ...signature(webhook.secret, body),
        },
        body,
        redirect: "manual",
        signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#timing.timeoutMs)]),
      });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return undefined;
    }
  }
}

function signature(secret: string | null | undefined, body: string): Record<string, string> {
  if (!secret) return {};
  return { "X-Hub-Signature": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}` };
}

function isSameSubject(a: WebhookSubject, b: WebhookSubject): boolean {
  return subjectKey(a) === subjectKey(b);
}

function subjectKey(subject: WebhookSubject): string {
  switch (subject.kind) {
    case "everywhere":
      return "everywhere";
    case "workspace":
      return `workspace:${subject.workspace.toLowerCase()}`;
    case "repository":
      return `repository:${subject.repositoryUuid}`;
  }
}

function concerns(subject: WebhookSubject, { workspace, uuid }: EventSource): boolean {
  return (
    subject.kind === "everywhere" ||
    isSameSubject(subject, { kind: "workspace", workspace }) ||
    (uuid !== undefined && isSameSubject(subject, { kind: "repository", repositoryUuid: uuid }))
  );
}

/** The secret is never shown. */
export function webhookShape(webhook: Webhook): Json {
  return {
    type: "webhook_subscription",
    uuid: `{${webhook.uuid}}`,
    url: webhook.url,
    description: webhook.description,
    active: webhook.active,
    events: webhook.events,
    secret_set: Boolean(webhook.secret),
    subject_type: webhook.subject.kind,
    created_at: timestamp(webhook.createdAt),
  };
}
