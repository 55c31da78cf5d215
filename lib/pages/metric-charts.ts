/** The mirror's metrics over time: stacked bars, drawn by the server. Each chart's figures are in a sentence beside it. */
import { html } from "hono/html";
import { describeAge } from "../age.ts";
import { errorFields } from "../errors.ts";
import type { MetricName } from "../metrics.ts";
import type { Html } from "./page-layout.ts";
import type { Administration, MeasuredHistory } from "./ports.ts";
import { formatBytes } from "./words.ts";

interface Chart {
  readonly title: string;
  /** `sum`: what a total of it means. `highest`: the highest value. */
  readonly of: "sum" | "highest";
  readonly format: (value: number) => string;
  readonly series: readonly (readonly [name: MetricName, label: string])[];
}

const count = (value: number) => String(Math.round(value));
const seconds = (value: number) => describeAge(value * 1000);

const CHARTS: readonly Chart[] = [
  {
    title: "From a push to its publish",
    of: "highest",
    format: seconds,
    series: [["SyncLagSeconds", "longest"]],
  },
  {
    title: "Queue",
    of: "highest",
    format: count,
    series: [
      ["SyncQueueLength", "syncs waiting"],
      ["LfsQueueLength", "LFS jobs waiting"],
    ],
  },
  {
    title: "Errors",
    of: "sum",
    format: count,
    series: [
      ["JobFailures", "failed jobs"],
      ["PrimaryErrors", "errors of Bitbucket"],
      ["PrimaryRateLimits", "rate limits of Bitbucket"],
      ["AnswerFailures", "answers that broke off"],
    ],
  },
  {
    title: "How clones and fetches were answered",
    of: "sum",
    format: count,
    series: [
      ["PacksCopied", "stored packs, copied"],
      ["PacksShared", "kept or shared answers"],
      ["PacksByRecipe", "by kept recipes"],
      ["PacksPlanned", "planned for the request"],
    ],
  },
  {
    title: "Bytes sent to clients",
    of: "sum",
    format: formatBytes,
    series: [["SentBytes", "sent"]],
  },
];

/** What the charts are made of. */
export const CHARTED_METRICS: readonly MetricName[] = CHARTS.flatMap(({ series }) =>
  series.map(([name]) => name),
);

const BAR_WIDTH = 5;
const GAP = 1;
const HEIGHT = 80;

/** @returns What the charts show, or why there are none: the page has more than charts. */
export async function readHistory({ history, log }: Administration): Promise<{
  readonly history: MeasuredHistory | undefined;
  readonly historyProblem?: string;
}> {
  try {
    return { history: await history?.() };
  } catch (error) {
    log.warn("admin:metrics-failed", errorFields(error));
    const historyProblem = "The metrics could not be read just now; the log says why.";
    return { history: undefined, historyProblem };
  }
}

export function metricCharts(history: MeasuredHistory): Html {
  return html`<div class="charts">${CHARTS.map((chart) => figure(chart, history))}</div>`;
}

/** Nothing of what is not recorded. */
function figure(chart: Chart, history: MeasuredHistory): Html | "" {
  const { title, series, of, format } = chart;
  const all = series.flatMap(([name, label]) => {
    const values = history.valuesOf(name);
    return values === undefined ? [] : [{ label, values }];
  });
  if (all.length === 0) return "";
  const length = history.slotCount;
  const heights = Array.from({ length }, (_, slot) =>
    all.reduce((sum, { values }) => sum + (values[slot] ?? 0), 0),
  );
  const highest = Math.max(0, ...heights);
  const hours = Math.round((length * history.slotMs) / 3_600_000);
  const summary = all.map(({ label, values }) => {
    const value = of === "sum" ? values.reduce((sum, one) => sum + one, 0) : Math.max(0, ...values);
    return { label, text: format(value) };
  });
  const width = length * (BAR_WIDTH + GAP);
  const spoken = summary.map(({ label, text }) => `${label}: ${text}`).join("; ");
  return html`<figure><figcaption>${title}</figcaption>
<svg class="metric" role="img" viewBox="0 0 ${width} ${HEIGHT}" preserveAspectRatio="none" aria-label="${title}, the last ${hours} hours. ${spoken}">
${highest > 0 ? all.map(({ values }, index) => html`<path class="series-${index}" d="${bars(all.slice(0, index), values, highest)}"/>`) : ""}</svg>
<p class="legend">${summary.map(({ label, text }, index) => html`<span class="series-${index}">${label}: ${of === "sum" ? "" : "at most "}${text}</span> `)}</p></figure>
`;
}

/** @param below - What the bars stand on. */
function bars(
  below: readonly { readonly values: readonly number[] }[],
  values: readonly number[],
  highest: number,
): string {
  return values
    .map((value, slot) => {
      if (value <= 0) return "";
      const base = below.reduce((sum, one) => sum + (one.values[slot] ?? 0), 0);
      const height = Math.max(1, Math.round((value / highest) * HEIGHT));
      const bottom = HEIGHT - Math.round((base / highest) * HEIGHT);
      return `M${slot * (BAR_WIDTH + GAP)} ${bottom}v-${height}h${BAR_WIDTH}v${height}z`;
    })
    .join("");
}
