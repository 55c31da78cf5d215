/** What attackers, who run in a process of their own, and the load test say to each other. */
import type { Received, SentRequest } from "./git-request.ts";
import type { LoadIds } from "./load-repositories.ts";

/** A mirror as its attackers see it. */
export interface LoadTarget {
  readonly port: number;
  readonly ids: LoadIds;
  /** By `acme/…` uuid, as in Bitbucket's events. */
  readonly uuidOf: (slug: string) => Promise<string>;
  /** Sends them at once, as a caller who has never asked before and has every right: each should be answered 200. */
  readonly askAsNewcomer: (requests: readonly Asked[]) => Promise<void>;
}

export type Asked = Omit<SentRequest, "caller" | "address">;

export interface Shape {
  readonly name: string;
  readonly run: (mirror: LoadTarget) => Promise<readonly Received[]>;
}

export type AttackOrder =
  | {
      readonly kind: "attack";
      readonly shape: string;
      readonly port: number;
      readonly ids: LoadIds;
      /** Of the primary. */
      readonly apiUrl: string;
    }
  | { readonly kind: "asked"; readonly id: number };

export type AttackersMessage =
  | { readonly kind: "ask"; readonly id: number; readonly requests: readonly Asked[] }
  | { readonly kind: "attacked"; readonly received: readonly Received[] };
