/** An endpoint that keeps the webhooks it gets. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

interface ReceivedWebhook {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As signed. */
  readonly body: string;
}

export interface WebhookReceiver {
  readonly url: string;
  /** Oldest first. */
  readonly received: readonly ReceivedWebhook[];
  /** What it answers; 200 at first. */
  status: number;
  close(): Promise<void>;
}

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString("utf8") });
      response.writeHead(receiver.status).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    status: 200,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return receiver;
}
