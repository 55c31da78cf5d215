/** The ways out of the mirror. */

/** A bus of events, such as EventBridge. */
export interface EventBus {
  /** Resolves when the bus has it. @throws {DeliveryError} It has not. */
  put(event: { readonly type: string; readonly detail: string; readonly at: Date }): Promise<void>;
}

export interface WebhookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Whether it may go to an address that is not of the public Internet. */
  readonly allowsPrivate: boolean;
}

/**
 * POSTs once, and follows no redirect.
 * @returns The status of the answer.
 * @throws {DeliveryError} There was none in time, or the address is not allowed: then nothing was sent.
 */
export type SendWebhook = (request: WebhookRequest, signal: AbortSignal) => Promise<number>;
