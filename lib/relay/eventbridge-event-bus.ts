/** Amazon EventBridge, the account's default bus. Source: PutEvents in EventBridge's API reference. */
import { type EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { DeliveryError } from "../errors.ts";
import type { EventBus } from "./ports.ts";

/** @param source - Whose events they are: what rules match on. */
export function eventBridgeEventBus(client: EventBridgeClient, source: string): EventBus {
  return {
    async put({ type, detail, at }) {
      const entry = { Source: source, DetailType: type, Detail: detail, Time: at };
      const { Entries: [result] = [] } = await client.send(new PutEventsCommand({ Entries: [entry] }));
      // A request may succeed while entries of it fail.
      if (result?.EventId === undefined)
        throw new DeliveryError("EventBridge did not take the event", {
          reason: `${result?.ErrorCode}: ${result?.ErrorMessage}`,
        });
    },
  };
}
