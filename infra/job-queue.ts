/** A queue of jobs, in order and one at a time for each message group, with its dead letters. */
import { Duration } from "aws-cdk-lib";
import { Key } from "aws-cdk-lib/aws-kms";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import {
  DeduplicationScope,
  FifoThroughputLimit,
  Queue,
  QueueEncryption,
  type QueueProps,
} from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";

/** Tries of one job, the first included: spread over about 25 minutes, see lib/queue/sqs-job-consumer.ts. */
const MAX_RECEIVE_COUNT = 5;

export interface JobQueueProps {
  /**
   * Longer than the function's time, as Lambda demands. AWS advises six times that, but the group of a killed job is blocked
   * for this long, and with one message a batch Lambda needs no more.
   */
  readonly visibilityTimeout: Duration;
  /** Jobs at a time. */
  readonly maxConcurrency: number;
  /** None: SQS's own. */
  readonly kmsKeyArn?: string | undefined;
}

export class JobQueue extends Construct {
  readonly queue: Queue;
  readonly deadLetterQueue: Queue;

  readonly #maxConcurrency: number;

  constructor(scope: Construct, id: string, { visibilityTimeout, maxConcurrency, kmsKeyArn }: JobQueueProps) {
    super(scope, id);
    this.#maxConcurrency = maxConcurrency;
    const fifo = {
      fifo: true,
      enforceSSL: true,
      deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
      fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
      ...(kmsKeyArn !== undefined && {
        encryption: QueueEncryption.KMS,
        encryptionMasterKey: Key.fromKeyArn(this, "Key", kmsKeyArn),
      }),
    } satisfies QueueProps;
    this.deadLetterQueue = new Queue(this, "DeadLetterQueue", {
      ...fifo,
      retentionPeriod: Duration.days(14),
    });
    this.queue = new Queue(this, "Queue", {
      ...fifo,
      visibilityTimeout,
      retentionPeriod: Duration.days(4),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: MAX_RECEIVE_COUNT },
    });
  }

  /** Lets `consumer` receive the jobs, one at a time. */
  feed(consumer: LambdaFunction): void {
    consumer.addEventSource(
      new SqsEventSource(this.queue, {
        batchSize: 1,
        maxConcurrency: this.#maxConcurrency,
        reportBatchItemFailures: true,
      }),
    );
  }
}
