/** The charts of a deployment's pages, from CloudWatch. */
import type { AwsRequests } from "../../lib/aws/aws-requests.ts";
import { type MetricQuery, readMetricData } from "../../lib/aws/metric-data.ts";
import { type MetricName, metricOf } from "../../lib/metrics.ts";
import { CHARTED_METRICS } from "../../lib/pages/metric-charts.ts";
import type { MeasuredHistory } from "../../lib/pages/ports.ts";

export interface CloudWatchHistoryOptions {
  readonly requests: AwsRequests;
  readonly namespace: string;
  /** Whether metrics with `isDetail` are recorded. */
  readonly hasDetail: boolean;
  readonly queueUrls: Readonly<Record<"sync" | "lfs", string>>;
  readonly now?: () => number;
}

const SLOT_MS = 15 * 60_000;
const SLOTS = 96;
/** CloudWatch is asked as often, by each process, while somebody looks: 12 metrics for 0.00012 $. */
const KEPT_MS = 5 * 60_000;

/** @returns Reads the last day. Throws an Error if CloudWatch does not say it. */
export function cloudWatchHistory(options: CloudWatchHistoryOptions): () => Promise<MeasuredHistory> {
  const { requests, now = Date.now } = options;
  const asked = CHARTED_METRICS.flatMap((name) => {
    const query = queryOf(name, options);
    return query === undefined ? [] : [{ name, query }];
  });
  let kept: { readonly atMs: number; readonly history: MeasuredHistory } | undefined;
  return async () => {
    const atMs = now();
    if (kept !== undefined && atMs - kept.atMs < KEPT_MS) return kept.history;
    const lastSlotAtMs = Math.floor(atMs / SLOT_MS) * SLOT_MS;
    const values = await readMetricData(
      requests,
      asked.map(({ query }) => query),
      { startMs: lastSlotAtMs - (SLOTS - 1) * SLOT_MS, periodSeconds: SLOT_MS / 1000, count: SLOTS },
    );
    const byName = new Map(asked.map(({ name }, index) => [name, values[index] ?? []]));
    const history = {
      slotMs: SLOT_MS,
      slotCount: SLOTS,
      lastSlotAtMs,
      valuesOf: (name: MetricName) => byName.get(name),
    };
    kept = { atMs, history };
    return history;
  };
}

function queryOf(
  name: MetricName,
  { namespace, hasDetail, queueUrls }: CloudWatchHistoryOptions,
): MetricQuery | undefined {
  const metric = metricOf(name);
  if (metric.kind !== "gauge") {
    if (metric.isDetail && !hasDetail) return undefined;
    return { namespace, name, statistic: metric.kind === "counter" ? "Sum" : "Maximum" };
  }
  const { queue, of } = metric;
  if (of !== "waiting" || queue === "relay") throw new Error(`no chart shows ${name}`);
  const QueueName = queueUrls[queue].slice(queueUrls[queue].lastIndexOf("/") + 1);
  return {
    ...{ namespace: "AWS/SQS", name: "ApproximateNumberOfMessagesVisible" },
    ...{ dimensions: { QueueName }, statistic: "Maximum" },
  };
}
