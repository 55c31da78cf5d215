/** Metrics over time, from CloudWatch. Source: docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html. */
import * as z from "zod/mini";
import type { AwsRequests } from "./aws-requests.ts";

export interface MetricQuery {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions?: Readonly<Record<string, string>>;
  readonly statistic: "Sum" | "Maximum";
}

export interface MetricPeriods {
  /** A multiple of the period. */
  readonly startMs: number;
  readonly periodSeconds: number;
  readonly count: number;
}

const answerSchema = z.object({
  MetricDataResults: z.array(
    z.object({
      Id: z.string(),
      /** In seconds since 1970; a period without a value has none. */
      Timestamps: z.optional(z.array(z.number())),
      Values: z.optional(z.array(z.number())),
    }),
  ),
});

/**
 * One request, of at most 500 queries. Each costs 0.00001 $.
 * @returns A value for each period of each query, in their order; 0 where CloudWatch has none.
 * @throws {Error} AWS refuses, or answers in another form.
 */
export async function readMetricData(
  requests: AwsRequests,
  queries: readonly MetricQuery[],
  { startMs, periodSeconds, count }: MetricPeriods,
): Promise<number[][]> {
  const response = await requests.send("monitoring", `${requests.endpointOf("monitoring")}/`, {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.0",
      "x-amz-target": "GraniteServiceVersion20100801.GetMetricData",
    },
    body: JSON.stringify({
      StartTime: startMs / 1000,
      EndTime: startMs / 1000 + count * periodSeconds,
      MetricDataQueries: queries.map(({ namespace, name, dimensions = {}, statistic }, index) => ({
        Id: `m${index}`,
        MetricStat: {
          Metric: {
            Namespace: namespace,
            MetricName: name,
            Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
          },
          Period: periodSeconds,
          Stat: statistic,
        },
      })),
    }),
  });
  if (!response.ok)
    throw new Error(`CloudWatch answers ${response.status}: ${(await response.text()).slice(0, 300)}`);
  const { MetricDataResults: results } = answerSchema.parse(await response.json());
  return queries.map((_, index) => {
    const values = new Array<number>(count).fill(0);
    // A result may come in parts.
    for (const { Timestamps = [], Values = [] } of results.filter(({ Id }) => Id === `m${index}`)) {
      for (const [at, seconds] of Timestamps.entries()) {
        const slot = Math.floor((seconds * 1000 - startMs) / (periodSeconds * 1000));
        if (slot >= 0 && slot < count) values[slot] = Values[at] ?? 0;
      }
    }
    return values;
  });
}
