/**
 * Everything that is measured, in one table. Deployed functions write metrics into their log lines (lib/emf.ts), the server shows them
 * at `/-/metrics`; the dashboard and the alarms of infra/ are made from the same rows.
 */

interface MetricBase {
  readonly unit: "Count" | "Bytes" | "Seconds";
  /** One clause, for the dashboard and for Prometheus. */
  readonly help: string;
  /** The dashboard's section. */
  readonly section: "serving" | "access" | "sync" | "primary" | "lfs" | "store";
}

export type Metric = MetricBase &
  (
    | {
        /** `counter`: what happened is added up. `histogram`: each value counts by itself, for percentiles. */
        readonly kind: "counter" | "histogram";
        /** Recorded on AWS only if the deployment wants all metrics: each costs 0.30 $ a month there. */
        readonly isDetail?: true;
        /** API Gateway's access log has it, and no process of the mirror. */
        readonly isFromAccessLog?: true;
        /** Recorded only in hours in which something is wrong: else it costs nothing. */
        readonly isRare?: true;
        /** Recorded by servers of the stream tier alone: where there is none, it costs nothing and is not shown. */
        readonly isOfStreamTier?: true;
      }
    | {
        /** A present value, which the server reads when it is asked. On AWS it is SQS's own, without cost. */
        readonly kind: "gauge";
        readonly queue: QueueName;
        readonly of: "waiting" | "age" | "dead-letters";
      }
  );

export type QueueName = "sync" | "lfs" | "relay";

export const METRICS = {
  Clones: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "packs sent to clients that had no commit",
  },
  Fetches: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "packs sent to clients that had commits",
  },
  SentBytes: {
    kind: "counter",
    unit: "Bytes",
    section: "serving",
    help: "bytes of answers to clones and fetches",
  },
  FirstByteSeconds: {
    kind: "histogram",
    unit: "Seconds",
    section: "serving",
    help: "time from a request to its pack's first byte",
  },
  PacksCopied: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "answers that were stored packs, copied whole",
    isDetail: true,
  },
  PacksShared: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "answers that were kept, or made for another client at the same time",
    isDetail: true,
  },
  PacksByRecipe: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "answers put together by a kept recipe",
    isDetail: true,
  },
  PacksPlanned: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "answers that were planned for the request",
    isDetail: true,
  },
  AnswerFailures: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "answers that failed or broke off by a fault of the mirror or its store",
  },
  TierRefusals: {
    kind: "counter",
    unit: "Count",
    section: "serving",
    help: "requests with a token that the stream tier refused",
    isOfStreamTier: true,
  },
  VerdictsAsked: {
    kind: "counter",
    unit: "Count",
    section: "access",
    help: "requests decided by asking the primary",
  },
  VerdictsCached: {
    kind: "counter",
    unit: "Count",
    section: "access",
    help: "requests decided by a cached answer",
  },
  CallersRefused: {
    kind: "counter",
    unit: "Count",
    section: "access",
    help: "requests with a credential that may not read",
  },
  CallersDeferred: {
    kind: "counter",
    unit: "Count",
    section: "access",
    help: "requests answered with 429 or 503, because access could not be decided",
  },
  AuthorizerFailures: {
    kind: "counter",
    unit: "Count",
    section: "access",
    help: "requests refused because the authorizer failed, timed out or was throttled",
    isFromAccessLog: true,
  },
  RequestsThrottled: {
    kind: "counter",
    unit: "Count",
    section: "access",
    help: "requests refused as above the API's limit",
    isFromAccessLog: true,
    isRare: true,
  },
  Syncs: { kind: "counter", unit: "Count", section: "sync", help: "syncs that published something" },
  SyncLagSeconds: {
    kind: "histogram",
    unit: "Seconds",
    section: "sync",
    help: "time from a push's webhook to its publish",
  },
  JobFailures: {
    kind: "counter",
    unit: "Count",
    section: "sync",
    help: "runs of syncs, LFS copies and relay deliveries that failed and are retried",
  },
  ReconcileRounds: {
    kind: "counter",
    unit: "Count",
    section: "sync",
    help: "rounds of reconcile without a failure",
  },
  PrimaryErrors: {
    kind: "counter",
    unit: "Count",
    section: "primary",
    help: "requests to Bitbucket that ended in 5xx or without an answer",
  },
  PrimaryRateLimits: {
    kind: "counter",
    unit: "Count",
    section: "primary",
    help: "requests to Bitbucket that ended in 429",
  },
  TokensEnding: {
    kind: "counter",
    unit: "Count",
    section: "primary",
    help: "tokens that end within 30 days, or that Bitbucket rejects while the account has another",
    isRare: true,
  },
  LfsLinks: {
    kind: "counter",
    unit: "Count",
    section: "lfs",
    help: "LFS files that clients got from the mirror",
    isDetail: true,
  },
  LfsMisses: {
    kind: "counter",
    unit: "Count",
    section: "lfs",
    help: "LFS files that clients got from Bitbucket",
  },
  StoreReads: { kind: "counter", unit: "Count", section: "store", help: "GET and HEAD requests to S3" },
  StoreWrites: {
    kind: "counter",
    unit: "Count",
    section: "store",
    help: "PUT, POST and LIST requests to S3",
  },
  DamagedBlobs: {
    kind: "counter",
    unit: "Count",
    section: "store",
    help: "blobs found damaged or missing",
  },
  SyncQueueAge: queue("sync", "age"),
  LfsQueueAge: queue("lfs", "age"),
  RelayQueueAge: queue("relay", "age"),
  SyncQueueLength: queue("sync", "waiting"),
  LfsQueueLength: queue("lfs", "waiting"),
  SyncDeadLetters: queue("sync", "dead-letters"),
  LfsDeadLetters: queue("lfs", "dead-letters"),
  RelayDeadLetters: queue("relay", "dead-letters"),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

/** The ones that code counts; gauges are read. */
export type CountedName = {
  [Name in MetricName]: (typeof METRICS)[Name]["kind"] extends "gauge" ? never : Name;
}[MetricName];

/** One measurement: what to add to counters, and values for histograms. */
export type Measurement = Readonly<Partial<Record<CountedName, number>>>;

export const METRIC_NAMES = Object.keys(METRICS) as MetricName[];

/** The table's row without its literal types, so that optional fields can be read. */
export function metricOf(name: MetricName): Metric {
  return METRICS[name];
}

function queue(name: QueueName, of: "waiting" | "age" | "dead-letters") {
  const help = {
    waiting: `jobs in the ${name} queue`,
    age: `age of the oldest job in the ${name} queue`,
    "dead-letters": `jobs of the ${name} queue that failed for good`,
  }[of];
  const unit = of === "age" ? "Seconds" : "Count";
  return { kind: "gauge", unit, section: name === "lfs" ? "lfs" : "sync", help, queue: name, of } as const;
}
