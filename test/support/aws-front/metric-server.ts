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
  close(): Promise<void>;
}

interface MetricDataRequest {
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
    const { EndTime, MetricDataQueries } = (await json(incoming)) as MetricDataRequest;
    const names = MetricDataQueries.map(({ MetricStat: { Metric: metric } }) =>
      [metric.Namespace, metric.MetricName, ...metric.Dimensions.map(({ Value }) => Value)].join("/"),
    );
    asked.push(names);
    const results = MetricDataQueries.map(({ Id, MetricStat: { Period } }, index) => {
      const value = values.get(names[index] ?? "");
      const found = value === undefined ? [] : [value];
      return { Id, StatusCode: "Complete", Timestamps: found.map(() => EndTime - Period), Values: found };
    });
    const isKnown = incoming.headers["x-amz-target"] === "GraniteServiceVersion20100801.GetMetricData";
    const refusal = { __type: isKnown ? "AccessDeniedException" : "UnknownOperationException" };
    const isAnswered = isKnown && !made.isDenied;
    outgoing.writeHead(isAnswered ? 200 : 400, { "content-type": "application/x-amz-json-1.0" });
    outgoing.end(JSON.stringify(isAnswered ? { MetricDataResults: results } : refusal));
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const made: MetricServer = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ values, asked, isDenied: false },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return made;
}
