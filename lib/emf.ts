/**
 * Measurements as CloudWatch's embedded metric format: fields of a log line, from which CloudWatch makes metrics. No dimensions: each
 * value of one would be a metric to pay for.
 * Source: "Specification: Embedded metric format" in CloudWatch's user guide.
 */
import { type CountedName, METRICS, type Measurement, metricOf } from "./metrics.ts";

export interface EmfOptions {
  /** CloudWatch's namespace: one for each mirror of the account. */
  readonly namespace: string;
  /** Whether metrics with `isDetail` are recorded. */
  readonly hasDetail?: boolean;
}

export class EmfMetrics {
  readonly #options: EmfOptions;
  #pending: Partial<Record<CountedName, number>> = {};

  constructor(options: EmfOptions) {
    this.#options = options;
  }

  /** Counts without a line; the next line with measurements has them too. For what happens too often for lines. */
  add(name: CountedName, count: number): void {
    this.#pending[name] = (this.#pending[name] ?? 0) + count;
  }

  /** @returns Fields to add to the line. What is not recorded as a metric is a field all the same. */
  fieldsOf(measured: Measurement): Record<string, unknown> {
    const values = { ...this.#pending, ...measured };
    this.#pending = {};
    const names = (Object.keys(values) as CountedName[]).filter((name) => this.#isRecorded(name));
    if (names.length === 0) return values;
    const metrics = names.map((name) => ({ Name: name, Unit: METRICS[name].unit }));
    const { namespace } = this.#options;
    const directive = { Namespace: namespace, Dimensions: [[]], Metrics: metrics };
    return { ...values, _aws: { Timestamp: Date.now(), CloudWatchMetrics: [directive] } };
  }

  #isRecorded(name: CountedName): boolean {
    const metric = metricOf(name);
    return metric.kind !== "gauge" && (!metric.isDetail || this.#options.hasDetail === true);
  }
}
