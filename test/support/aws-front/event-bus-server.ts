/** Amazon EventBridge as the relay needs it: keeps the events that it is given. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

interface PutEvent {
  readonly Source: string;
  readonly DetailType: string;
  readonly Detail: string;
}

export interface EventBusServer {
  readonly endpoint: string;
  readonly events: readonly PutEvent[];
  /** Refuses entries, in an answer that succeeds, as EventBridge does. */
  refuses: boolean;
  close(): Promise<void>;
}

export async function startEventBusServer(): Promise<EventBusServer> {
  const events: PutEvent[] = [];
  const server = createServer((incoming, outgoing) => {
    const isPut = incoming.headers["x-amz-target"] === "AWSEvents.PutEvents";
    json(incoming)
      .then((body) => {
        const { Entries: entries } = body as { Entries: PutEvent[] };
        outgoing.writeHead(isPut ? 200 : 400, { "content-type": "application/x-amz-json-1.1" });
        if (!bus.refuses) events.push(...entries);
        const results = entries.map(() =>
          bus.refuses ? { ErrorCode: "ThrottlingException", ErrorMessage: "slow down" } : { EventId: "e" },
        );
        const answer = { FailedEntryCount: bus.refuses ? results.length : 0, Entries: results };
        outgoing.end(JSON.stringify(answer));
      })
      .catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bus: EventBusServer = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    events,
    refuses: false,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return bus;
}
