/** What a sync says while it is under way. */
import type { IndexProgress } from "../indexer/index-pack.ts";

export type SyncProgress =
  | { readonly phase: "listing" }
  /** The primary is working; its own words. */
  | { readonly phase: "waiting"; readonly text: string }
  /** How much of a large history is here. */
  | { readonly phase: "importing"; readonly steps: number; readonly totalSteps: number }
  | { readonly phase: "receiving"; readonly receivedBytes: number }
  | IndexProgress
  | { readonly phase: "publishing" };
