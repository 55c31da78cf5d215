/** The queues of a template on the test's SQS server, and Lambda's event sources over them. */
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  type Message,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageCommand,
} from "@aws-sdk/client-sqs";
import { startEventSource } from "../queue/event-source.ts";
import type { SqsServer } from "../queue/sqs-server.ts";
import type { CallPolicies } from "./call-policies.ts";
import { type DeployedFunction, ThrottledError } from "./deployed-function.ts";
import { type DeployedTemplate, functionName } from "./template.ts";

const ATTRIBUTES = ["FifoQueue", "VisibilityTimeout", "DeduplicationScope", "FifoThroughputLimit"];

export interface DeployedQueues {
  /** By logical id: their URLs at the server. */
  readonly urls: Readonly<Record<string, string>>;
  /** @param idStart - Without the hash: `SyncQueue`. */
  url(idStart: string): string;
  /** Messages that are visible, not visible, or delayed. */
  count(idStart: string): Promise<number>;
  /** Looks at them for a second, without taking them out. */
  peek(idStart: string): Promise<Message[]>;
  send(
    idStart: string,
    message: { readonly groupId: string; readonly dedupId: string; readonly body: string },
  ): Promise<void>;
}

export async function createDeployedQueues(
  template: DeployedTemplate,
  { client, endpoint }: SqsServer,
): Promise<DeployedQueues> {
  const queues = template.resources("AWS::SQS::Queue");
  // Dead-letter queues are named by others.
  queues.sort((a, b) => Number("RedrivePolicy" in a.properties) - Number("RedrivePolicy" in b.properties));
  const urls: Record<string, string> = {};
  const arns: Record<string, string> = {};
  for (const { id, properties } of queues) {
    const Attributes: Record<string, string> = {};
    for (const name of ATTRIBUTES)
      if (properties[name] !== undefined) Attributes[name] = String(properties[name]);
    const { RedrivePolicy: redrive } = properties;
    if (redrive !== undefined) {
      const deadLetterTargetArn = arns[String(redrive.deadLetterTargetArn).split(":").at(-1) ?? ""];
      Attributes["RedrivePolicy"] = JSON.stringify({
        deadLetterTargetArn,
        maxReceiveCount: String(redrive.maxReceiveCount),
      });
    }
    const { QueueUrl = "" } = await client.send(
      new CreateQueueCommand({ QueueName: `${id}.fifo`, Attributes }),
    );
    urls[id] = `${endpoint}${new URL(QueueUrl).pathname}`;
    const described = await client.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
    );
    arns[id] = described.Attributes?.["QueueArn"] ?? "";
  }
  const url = (idStart: string): string => {
    const id = Object.keys(urls).find((name) => name.slice(0, -8) === idStart);
    if (id === undefined) throw new Error(`the template has no queue ${idStart}`);
    return urls[id] ?? "";
  };
  return {
    urls,
    url,
    async count(idStart) {
      const names: QueueAttributeName[] = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
      ];
      const { Attributes = {} } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl: url(idStart), AttributeNames: names }),
      );
      return names.reduce((sum, name) => sum + Number(Attributes[name]), 0);
    },
    async peek(idStart) {
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({ QueueUrl: url(idStart), MaxNumberOfMessages: 10, VisibilityTimeout: 1 }),
      );
      return Messages;
    },
    async send(idStart, { groupId, dedupId, body }) {
      await client.send(
        new SendMessageCommand({
          QueueUrl: url(idStart),
          MessageGroupId: groupId,
          MessageDeduplicationId: dedupId,
          MessageBody: body,
        }),
      );
    },
  };
}

/** What Lambda does with the function's role. */
const POLLING_ACTIONS = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];

export interface EventSourceServices {
  readonly sqs: SqsServer;
  readonly queues: DeployedQueues;
  readonly functionOf: (name: string) => DeployedFunction;
  readonly policies: CallPolicies;
}

/** @returns What stops them, when their invocations are done. @throws {Error} A role does not permit it. */
export function startEventSources(
  template: DeployedTemplate,
  { sqs, queues, functionOf, policies }: EventSourceServices,
): () => Promise<void> {
  const sources = template.resources("AWS::Lambda::EventSourceMapping").map(({ properties }) => {
    const { BatchSize, ScalingConfig, FunctionResponseTypes, EventSourceArn, FunctionName } = properties;
    if (!FunctionResponseTypes?.includes("ReportBatchItemFailures")) throw new Error("not understood");
    const name = functionName(FunctionName);
    for (const action of POLLING_ACTIONS)
      if (!policies.check({ function: name, action, resource: EventSourceArn }))
        throw new Error(`${name} has no right to ${action}`);
    return startEventSource({
      client: sqs.client,
      queueUrl: queues.urls[String(EventSourceArn).split(":").at(-1) ?? ""] ?? "",
      batchSize: BatchSize,
      concurrency: ScalingConfig.MaximumConcurrency,
      handler: (event) => invokeUntilAccepted(functionOf(name), event),
    });
  });
  return async () => {
    await Promise.all(sources.map((source) => source.close()));
  };
}

const THROTTLED_PAUSE_MS = 500;

/** Lambda tries again what it refuses itself. */
async function invokeUntilAccepted(
  called: DeployedFunction,
  event: unknown,
): Promise<{ readonly batchItemFailures: readonly { readonly itemIdentifier: string }[] }> {
  for (;;) {
    try {
      return (await called.invoke(event)) as Awaited<ReturnType<typeof invokeUntilAccepted>>;
    } catch (error) {
      if (!(error instanceof ThrottledError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, THROTTLED_PAUSE_MS));
    }
  }
}
