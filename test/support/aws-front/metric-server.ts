/** AWS's CloudWatch as the pages function needs it: metrics over time. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

export interface MetricServer {
  readonly endpoint: string;
  /** The last value of a metric, by `namespace/name`, or `namespace/name/queue`. */
  readonly values: Map<string, number>;
  /** Metrics asked for by each request. */
  readonly asked: string[][];
  /** Whether it refuses each request. */
  isDenied: boolean;
  /** What it says of each query in place of `Complete`. */
  statusCode: string;
  /** Into how many pages it divides the queries. */
  pages: number;
  close(): Promise<void>;
}

interface MetricDataRequest {
  readonly NextToken?: string;
  readonly EndTime: number;
  readonly MetricDataQueries: readonly {
    readonly Id: string;
    readonly MetricStat: {
      readonly Metric: {
        readonly Namespace: string;
        readonly MetricName: string;
        readonly Dimensions: readonly { readonly Value: string }[];
      };
      readonly Period: number;
    };
  }[];
}

export async function startMetricServer(): Promise<MetricServer> {
  const values = new Map<string, number>();
  const asked: string[][] = [];
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });
  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { EndTime, MetricDataQueries, NextToken = "0" } = (await json(incoming)) as MetricDataRequest;
    const names = MetricDataQueries.map(({ MetricStat: { Metric: metric } }) =>
      [metric.Namespace, metric.MetricName, ...metric.Dimensions.map(({ Value }) => Value)].join("/"),
    );
    asked.push(names);
    const results = MetricDataQueries.map(({ Id, MetricStat: { Period } }, index) => {
      const value = values.get(names[index] ?? "");
      const found = value === undefined ? [] : [value];
      return {
        Id,
        StatusCode: made.statusCode,
        Timestamps: found.map(() => EndTime - Period),
        Values: found,
      };
    });
    const isKnown = incoming.headers["x-amz-target"] === "GraniteServiceVersion20100801.GetMetricData";
    const refusal = { __type: isKnown ? "AccessDeniedException" : "UnknownOperationException" };
    const isAnswered = isKnown && !made.isDenied;
    outgoing.writeHead(isAnswered ? 200 : 400, { "content-type": "application/x-amz-json-1.0" });
    const page = Number(NextToken);
    const answered = {
      MetricDataResults: results.filter((_, index) => index % made.pages === page),
      ...(page + 1 < made.pages && { NextToken: String(page + 1) }),
    };
    outgoing.end(JSON.stringify(isAnswered ? answered : refusal));
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const made: MetricServer = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ values, asked, isDenied: false, statusCode: "Complete", pages: 1 },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return made;
}
