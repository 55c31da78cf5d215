/** The log of a deployed function, whose lines carry what it measures. */
import { EmfMetrics } from "../../lib/emf.ts";
import { jsonLogger } from "../../lib/log-json.ts";
import type { ValueOf } from "../../lib/settings.ts";

export type FunctionLogSettings = {
  readonly [Name in "logLevel" | "stackPrefix" | "metrics"]: ValueOf<Name>;
};

export type FunctionLog = ReturnType<typeof functionLog>;

export function functionLog({ logLevel, stackPrefix: namespace, metrics }: FunctionLogSettings) {
  const emf = new EmfMetrics({ namespace, hasDetail: metrics === "all" });
  return {
    log: jsonLogger(logLevel, { metrics: emf }),
    /** Counts a request to S3. */
    onStoreRequest: (kind: "read" | "write") => emf.add(kind === "read" ? "StoreReads" : "StoreWrites", 1),
  };
}
