/** What a function may do with queues, secrets, metrics and other functions. */
import { ArnFormat, Stack } from "aws-cdk-lib";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { EVENT_SOURCE } from "../lib/config.ts";
import type { MirrorFunction } from "./mirror-function.ts";

/** Sending alone: CDK's own grant has two more actions. */
export function grantSend({ role }: MirrorFunction, ...queues: readonly Queue[]): void {
  const resources = queues.map(({ queueArn }) => queueArn);
  role.addToPrincipalPolicy(new PolicyStatement({ actions: ["sqs:SendMessage"], resources }));
}

/** To list dead letters and send them to their queues, which is a right of its own. */
export function grantTakeDeadLetters({ role }: MirrorFunction, ...queues: readonly Queue[]): void {
  const actions = ["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"];
  const resources = queues.map(({ queueArn }) => queueArn);
  role.addToPrincipalPolicy(new PolicyStatement({ actions, resources }));
}

export function grantReadMetrics({ role }: MirrorFunction): void {
  // It knows no resources.
  role.addToPrincipalPolicy(new PolicyStatement({ actions: ["cloudwatch:GetMetricData"], resources: ["*"] }));
}

export function grantInvoke({ role }: MirrorFunction, { lambda }: MirrorFunction): void {
  const statement = { actions: ["lambda:InvokeFunction"], resources: [lambda.functionArn] };
  role.addToPrincipalPolicy(new PolicyStatement(statement));
}

/** SecureStrings under AWS's own key: who may read the parameter through SSM may have it decrypted. @param path - With a slash at its start. */
export function grantSecrets({ role }: MirrorFunction, actions: string[], path: string): void {
  const arn = Stack.of(role).formatArn({
    service: "ssm",
    resource: "parameter",
    resourceName: path.slice(1),
    arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
  });
  role.addToPrincipalPolicy(new PolicyStatement({ actions, resources: [arn] }));
}

/** Events of the mirror's own, on the account's bus. */
export function grantPutEvents({ role }: MirrorFunction): void {
  const eventBus = { service: "events", resource: "event-bus", resourceName: "default" };
  role.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ["events:PutEvents"],
      resources: [Stack.of(role).formatArn(eventBus)],
      conditions: { StringEquals: { "events:source": EVENT_SOURCE } },
    }),
  );
}
