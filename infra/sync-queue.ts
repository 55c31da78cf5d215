/** Sync jobs, in order and one at a time for each repository: the message group is the repository. */
import { Duration } from "aws-cdk-lib";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { DeduplicationScope, FifoThroughputLimit, Queue, type QueueProps } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";

/**
 * Longer than the function's 15 minutes, as Lambda demands. AWS advises six times that, but the group of a killed sync is
 * blocked for this long, and with one message a batch Lambda needs no more.
 */
const VISIBILITY_TIMEOUT = Duration.minutes(18);

/** Tries of one job, the first included: spread over about 25 minutes, see lib/queue/sqs-job-consumer.ts. */
const MAX_RECEIVE_COUNT = 5;

/** Syncs at a time: the primary limits the requests of one credential. */
const MAX_CONCURRENCY = 10;

export class SyncQueue extends Construct {
  readonly queue: Queue;
  readonly deadLetterQueue: Queue;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const fifo = {
      fifo: true,
      enforceSSL: true,
      deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
      fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
    } satisfies QueueProps;
    this.deadLetterQueue = new Queue(this, "DeadLetterQueue", {
      ...fifo,
      retentionPeriod: Duration.days(14),
    });
    this.queue = new Queue(this, "Queue", {
      ...fifo,
      visibilityTimeout: VISIBILITY_TIMEOUT,
      retentionPeriod: Duration.days(4),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: MAX_RECEIVE_COUNT },
    });
  }

  /** Lets `consumer` receive the jobs, one at a time. */
  feed(consumer: LambdaFunction): void {
    consumer.addEventSource(
      new SqsEventSource(this.queue, {
        batchSize: 1,
        maxConcurrency: MAX_CONCURRENCY,
        reportBatchItemFailures: true,
      }),
    );
  }
}
