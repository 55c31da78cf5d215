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

/** A failure is kept for as long: each view would ask again. */
const FAILURE_KEPT_MS = 30_000;

/** @returns Reads the last day. Throws an Error if CloudWatch does not say it. Reads at the same time share a question. */
export function cloudWatchHistory(options: CloudWatchHistoryOptions): () => Promise<MeasuredHistory> {
  const { requests, now = Date.now } = options;
  const asked = CHARTED_METRICS.flatMap((name) => {
    const query = queryOf(name, options);
    return query === undefined ? [] : [{ name, query }];
  });
  async function read(): Promise<MeasuredHistory> {
    const lastSlotAtMs = Math.floor(now() / SLOT_MS) * SLOT_MS;
    const values = await readMetricData(
      requests,
      asked.map(({ query }) => query),
      { startMs: lastSlotAtMs - (SLOTS - 1) * SLOT_MS, periodSeconds: SLOT_MS / 1000, count: SLOTS },
    );
    const byName = new Map(asked.map(({ name }, index) => [name, values[index] ?? []]));
    const valuesOf = (name: MetricName) => byName.get(name);
    return { slotMs: SLOT_MS, slotCount: SLOTS, lastSlotAtMs, valuesOf };
  }
  let kept: { readonly history: Promise<MeasuredHistory>; untilMs: number } | undefined;
  return () => {
    if (kept !== undefined && now() < kept.untilMs) return kept.history;
    const question = { history: read(), untilMs: now() + KEPT_MS };
    question.history.catch(() => (question.untilMs = now() + FAILURE_KEPT_MS));
    kept = question;
    return question.history;
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
