/** The last day's measurements of this process, in slots of time: what charts show. 96 slots of 40 metrics take 31 KB. */
import {
  METRIC_NAMES,
  type Measurement,
  type MetricName,
  metricOf,
  type QueueName,
} from "../../lib/metrics.ts";
import type { MeasuredHistory } from "../../lib/pages/ports.ts";
import { gaugeValue, type WatchedQueue } from "./operations.ts";

const SLOT_MS = 15 * 60_000;
const SLOTS = 96;
const GAUGE_MS = 30_000;

export class MetricHistory {
  readonly #slots = new Map<MetricName, Float64Array>(
    METRIC_NAMES.map((name) => [name, new Float64Array(SLOTS)]),
  );
  readonly #now: () => number;
  /** Number of the last slot, counted from 1970. */
  #last: number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.#last = this.#slotNow();
  }

  record(measured: Measurement): void {
    for (const [name, value] of Object.entries(measured) as [MetricName, number][]) this.#add(name, value);
  }

  /** Reads what queues hold, every 30 s until `stop`. @param queueOf - `undefined` until there are queues. */
  watch(queueOf: (name: QueueName) => WatchedQueue | undefined, stop: AbortSignal): void {
    const timer = setInterval(() => this.readGauges(queueOf), GAUGE_MS);
    timer.unref();
    stop.addEventListener("abort", () => clearInterval(timer), { once: true });
  }

  readGauges(queueOf: (name: QueueName) => WatchedQueue | undefined): void {
    for (const name of METRIC_NAMES) {
      const metric = metricOf(name);
      // Dead letters are listed in the store, which is not worth a chart.
      if (metric.kind !== "gauge" || metric.of === "dead-letters") continue;
      const queue = queueOf(metric.queue);
      if (queue !== undefined) this.#add(name, gaugeValue(queue, metric.of));
    }
  }

  read(): Omit<MeasuredHistory, "valuesOf"> & { readonly valuesOf: (name: MetricName) => readonly number[] } {
    this.#advance();
    const first = this.#last + 1;
    return {
      slotMs: SLOT_MS,
      slotCount: SLOTS,
      lastSlotAtMs: this.#last * SLOT_MS,
      valuesOf: (name) => {
        const values = this.#slots.get(name) ?? new Float64Array(SLOTS);
        return Array.from({ length: SLOTS }, (_, index) => values[(first + index) % SLOTS] ?? 0);
      },
    };
  }

  #add(name: MetricName, value: number): void {
    this.#advance();
    const values = this.#slots.get(name);
    if (values === undefined) return;
    const at = this.#last % SLOTS;
    const before = values[at] ?? 0;
    values[at] = metricOf(name).kind === "counter" ? before + value : Math.max(before, value);
  }

  /** Empties the slots of the time that has passed. */
  #advance(): void {
    const now = this.#slotNow();
    if (now - this.#last >= SLOTS) for (const values of this.#slots.values()) values.fill(0);
    else
      for (let slot = this.#last + 1; slot <= now; slot++)
        for (const values of this.#slots.values()) values[slot % SLOTS] = 0;
    // A clock that was set back adds to the last slot.
    this.#last = Math.max(this.#last, now);
  }

  #slotNow(): number {
    return Math.floor(this.#now() / SLOT_MS);
  }
}
