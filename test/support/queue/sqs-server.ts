/** A server that speaks SQS's protocol, on this machine only, with a FIFO queue and its dead-letter queue. */
import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { buildApp } from "fauxqs";

export interface SqsServer {
  readonly endpoint: string;
  readonly client: SQSClient;
  /** @returns New ones each time. */
  createQueues(options: { maxReceiveCount: number }): Promise<SqsQueues>;
  /** What waits in the queue, taken out of it one by one. */
  takeAll(queueUrl: string): Promise<TakenMessage[]>;
  close(): Promise<void>;
}

interface TakenMessage {
  readonly groupId: string;
  readonly body: string;
}

interface SqsQueues {
  readonly queueUrl: string;
  readonly deadLetterQueueUrl: string;
}

/** Neither is checked. */
const SQS_CREDENTIALS = { accessKeyId: "key", secretAccessKey: "secret" };

export async function startSqsServer(): Promise<SqsServer> {
  const app = buildApp({ logger: false });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const endpoint = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const client = new SQSClient({
    endpoint,
    // The queue's URL would take the endpoint's place, and names a host of AWS's.
    useQueueUrlAsEndpoint: false,
    region: "us-east-1",
    credentials: SQS_CREDENTIALS,
  });
  const create = async (Attributes: Record<string, string>) => {
    const QueueName = `q${randomUUID()}.fifo`;
    const { QueueUrl = "" } = await client.send(
      new CreateQueueCommand({ QueueName, Attributes: { FifoQueue: "true", ...Attributes } }),
    );
    return QueueUrl;
  };
  return {
    endpoint,
    client,
    async createQueues({ maxReceiveCount }) {
      const deadLetterQueueUrl = await create({});
      const { Attributes } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl: deadLetterQueueUrl, AttributeNames: ["QueueArn"] }),
      );
      const deadLetterTargetArn = Attributes?.["QueueArn"] ?? "";
      const queueUrl = await create({
        VisibilityTimeout: "600",
        RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: String(maxReceiveCount) }),
      });
      return { queueUrl, deadLetterQueueUrl };
    },
    async takeAll(QueueUrl) {
      const taken: TakenMessage[] = [];
      for (;;) {
        const { Messages: [message] = [] } = await client.send(
          new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ["MessageGroupId"] }),
        );
        if (message === undefined) return taken;
        const { Body: body = "", Attributes: { MessageGroupId: groupId = "" } = {}, ReceiptHandle } = message;
        taken.push({ groupId, body });
        await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
      }
    },
    async close() {
      client.destroy();
      await app.close();
    },
  };
}
