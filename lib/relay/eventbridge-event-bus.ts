/** Amazon EventBridge, the account's default bus. Source: PutEvents in EventBridge's API reference. */
import { type EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { DeliveryError } from "../errors.ts";
import type { EventBus } from "./ports.ts";

/** What rules match on. infra/service-stack.ts allows no other. */
const SOURCE = "nearside";

export function eventBridgeEventBus(client: EventBridgeClient): EventBus {
  return {
    async put({ type, detail, at }) {
      const entry = { Source: SOURCE, DetailType: type, Detail: detail, Time: at };
      const { Entries: [result] = [] } = await client.send(new PutEventsCommand({ Entries: [entry] }));
      // A request that succeeds says nothing of its entries.
      if (result?.EventId === undefined)
        throw new DeliveryError("EventBridge did not take the event", {
          reason: `${result?.ErrorCode}: ${result?.ErrorMessage}`,
        });
    },
  };
}
