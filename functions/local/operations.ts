/**
 * The server's paths for operators: `/-/metrics` (Prometheus), `/-/health` and `/-/health/live`. No repository can have them: no
 * workspace is called `-`.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type AddressRange, addressMatcher, parseAddressRanges } from "../../lib/address-ranges.ts";
import { notFoundResponse, textResponse } from "../../lib/http/error-response.ts";
import type { HttpHandler, HttpRequest } from "../../lib/http/message.ts";
import type { Logger } from "../../lib/log.ts";
import {
  METRIC_NAMES,
  type Measurement,
  type Metric,
  type MetricName,
  metricOf,
  type QueueName,
} from "../../lib/metrics.ts";

/** What a queue's gauges show. */
export interface WatchedQueue {
  pending(): { readonly count: number; readonly oldestSentAtMs: number | undefined };
  deadLetterCount(): Promise<number>;
}

const SECONDS_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];

export class LocalMetrics {
  readonly #registry = new Registry();
  readonly #record = new Map<string, (value: number) => void>();

  /** @param queueOf - `undefined` until there are queues. */
  constructor(queueOf: (name: QueueName) => WatchedQueue | undefined) {
    collectDefaultMetrics({ register: this.#registry });
    for (const name of METRIC_NAMES) this.#add(name, metricOf(name), queueOf);
  }

  record(measured: Measurement): void {
    for (const [name, value] of Object.entries(measured)) this.#record.get(name)?.(value);
  }

  /** One request to S3. */
  storeRequest(kind: "read" | "write"): void {
    this.record(kind === "read" ? { StoreReads: 1 } : { StoreWrites: 1 });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #add(name: MetricName, metric: Metric, queueOf: (name: QueueName) => WatchedQueue | undefined): void {
    const options = { name: prometheusName(name, metric), help: metric.help, registers: [this.#registry] };
    if (metric.kind === "gauge") {
      const gauge = new Gauge({
        ...options,
        async collect() {
          const queue = queueOf(metric.queue);
          if (queue !== undefined)
            gauge.set(
              metric.of === "dead-letters" ? await queue.deadLetterCount() : gaugeValue(queue, metric.of),
            );
        },
      });
    } else if (metric.kind === "histogram") {
      const histogram = new Histogram({ ...options, buckets: SECONDS_BUCKETS });
      this.#record.set(name, (value) => histogram.observe(value));
    } else if (!metric.isFromAccessLog && !metric.isOfStreamTier) {
      const counter = new Counter(options);
      this.#record.set(name, (value) => counter.inc(value));
    }
  }
}

/** @returns `nearside_sent_bytes_total` for `SentBytes`. */
function prometheusName(name: string, { kind }: Metric): string {
  const words = name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
  return `nearside_${words}${kind === "counter" ? "_total" : ""}`;
}

export function gaugeValue(queue: WatchedQueue, of: "waiting" | "age"): number {
  const { count, oldestSentAtMs } = queue.pending();
  if (of === "waiting") return count;
  return oldestSentAtMs === undefined ? 0 : (Date.now() - oldestSentAtMs) / 1000;
}

/** @returns The same log, whose lines' measurements are recorded. */
export function measuringLogger(
  log: Logger,
  ...recorders: readonly { record(measured: Measurement): void }[]
): Logger {
  const level = (name: keyof Logger) => {
    return (event: string, fields?: Readonly<Record<string, unknown>>, measured?: Measurement) => {
      if (measured !== undefined) for (const one of recorders) one.record(measured);
      log[name](event, fields);
    };
  };
  return { debug: level("debug"), info: level("info"), warn: level("warn"), error: level("error") };
}

const METRICS_PATH = "/-/metrics";
const HEALTH_PATH = "/-/health";
/** Everyone may ask, and each check reads the store. */
const HEALTH_MS = 1_000;

export interface OperationsOptions {
  readonly metrics: LocalMetrics;
  /** Who may read the metrics. */
  readonly metricsAddresses: readonly AddressRange[];
  /** Rejects while the mirror cannot serve. */
  readonly checkReady: () => Promise<unknown>;
}

/** @param handler - For all other paths. */
export function withOperations(handler: HttpHandler, options: OperationsOptions): HttpHandler {
  const mayRead = metricsReaders(options.metricsAddresses);
  const checkReady = atMostEvery(HEALTH_MS, options.checkReady);
  return async (request) => {
    if (request.path === METRICS_PATH) {
      if (!mayRead(request)) return notFoundResponse();
      const text = await options.metrics.text();
      return textResponse(200, text.trimEnd(), { "content-type": options.metrics.contentType });
    }
    if (request.path === `${HEALTH_PATH}/live`) return textResponse(200, "live");
    if (request.path !== HEALTH_PATH) return handler(request);
    try {
      await checkReady();
      return textResponse(200, "ready");
    } catch {
      return textResponse(503, "not ready"); // the reason is in the log, and not for every caller
    }
  };
}

/** @returns Gives the last call's result, or error, to callers within `intervalMs`. */
function atMostEvery<Result>(intervalMs: number, call: () => Promise<Result>): () => Promise<Result> {
  let last: { readonly atMs: number; readonly result: Promise<Result> } | undefined;
  return () => {
    const nowMs = performance.now();
    if (last === undefined || last.atMs + intervalMs <= nowMs) last = { atMs: nowMs, result: call() };
    return last.result;
  };
}

/**
 * A proxy on this machine may add no header, and nginx names the server by its own address: only who lists this machine knows that a
 * request from it is not a stranger's.
 */
function metricsReaders(ranges: readonly AddressRange[]): (request: HttpRequest) => boolean {
  const isListed = addressMatcher(ranges);
  const isLocal = addressMatcher(parseAddressRanges(["127.0.0.0/8", "::1"]));
  return ({ remoteAddress, headers }) => {
    if (remoteAddress === undefined || !isListed(remoteAddress)) return false;
    const isForwarded = headers["x-forwarded-for"] !== undefined || headers["forwarded"] !== undefined;
    return !isLocal(remoteAddress) || !isForwarded;
  };
}
