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
  NextToken: z.optional(z.string()),
  MetricDataResults: z.array(
    z.object({
      Id: z.string(),
      /** `PartialData` with more behind `NextToken`; `InternalError` or `Forbidden` of this query alone. */
      StatusCode: z.optional(z.string()),
      /** In seconds since 1970; a period without a value has none. */
      Timestamps: z.optional(z.array(z.number())),
      Values: z.optional(z.array(z.number())),
    }),
  ),
});

type MetricResult = z.infer<typeof answerSchema>["MetricDataResults"][number];

/** 500 queries of 96 periods are one. */
const MAX_PAGES = 10;

/**
 * One request, of at most 500 queries, unless CloudWatch gives its answer in pages. Each query costs 0.00001 $.
 * @returns A value for each period of each query, in their order; 0 where CloudWatch has none.
 * @throws {Error} AWS refuses, answers in another form, or not all.
 */
export async function readMetricData(
  requests: AwsRequests,
  queries: readonly MetricQuery[],
  periods: MetricPeriods,
): Promise<number[][]> {
  const { startMs, periodSeconds, count } = periods;
  const results: MetricResult[] = [];
  let NextToken: string | undefined;
  for (let pages = 0; pages === 0 || NextToken !== undefined; pages++) {
    if (pages === MAX_PAGES) throw new Error(`CloudWatch's answer has more than ${MAX_PAGES} pages`);
    const page = await readPage(requests, queries, periods, NextToken);
    results.push(...page.MetricDataResults);
    NextToken = page.NextToken || undefined;
  }
  return queries.map(({ name }, index) => {
    // A result may come in parts, of which the last says whether all is there.
    const parts = results.filter(({ Id }) => Id === `m${index}`);
    const { StatusCode = "nothing" } = parts.at(-1) ?? {};
    if (StatusCode !== "Complete") throw new Error(`CloudWatch answers ${StatusCode} for ${name}`);
    const values = new Array<number>(count).fill(0);
    for (const { Timestamps = [], Values = [] } of parts) {
      for (const [at, seconds] of Timestamps.entries()) {
        const slot = Math.floor((seconds * 1000 - startMs) / (periodSeconds * 1000));
        if (slot >= 0 && slot < count) values[slot] = Values[at] ?? 0;
      }
    }
    return values;
  });
}

async function readPage(
  requests: AwsRequests,
  queries: readonly MetricQuery[],
  { startMs, periodSeconds, count }: MetricPeriods,
  NextToken: string | undefined,
): Promise<z.infer<typeof answerSchema>> {
  const response = await requests.send("monitoring", `${requests.endpointOf("monitoring")}/`, {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.0",
      "x-amz-target": "GraniteServiceVersion20100801.GetMetricData",
    },
    body: JSON.stringify({
      ...{ StartTime: startMs / 1000, EndTime: startMs / 1000 + count * periodSeconds, NextToken },
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
  return answerSchema.parse(await response.json());
}
