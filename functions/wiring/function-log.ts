/** The log of a deployed function, whose lines carry what it measures. */
import { EmfMetrics } from "../../lib/emf.ts";
import type { Logger } from "../../lib/log.ts";
import { jsonLogger } from "../../lib/log-json.ts";
import type { ValueOf } from "../../lib/settings.ts";

export interface FunctionLog {
  readonly log: Logger;
  /** Counts a request to S3. */
  readonly onStoreRequest: (kind: "read" | "write") => void;
}

export type FunctionLogSettings = {
  readonly [Name in "logLevel" | "stackPrefix" | "metrics"]: ValueOf<Name>;
};

export function functionLog({ logLevel, stackPrefix: namespace, metrics }: FunctionLogSettings): FunctionLog {
  const emf = new EmfMetrics({ namespace, hasDetail: metrics === "all" });
  return {
    log: jsonLogger(logLevel, { metrics: emf }),
    onStoreRequest: (kind) => emf.add(kind === "read" ? "StoreReads" : "StoreWrites", 1),
  };
}
