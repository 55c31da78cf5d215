/** What the authorizer needs from outside: the primary, and a small store. */

import type { RetryLimit } from "../retry-read.ts";

export interface ReadQuestion {
  /** The caller's `Authorization` header as received; `undefined` if there is none. */
  readonly authorization: string | undefined;
  /** The repository's path below the primary's git address, in lower case: `workspace/slug` or `workspace/{uuid}`. */
  readonly repositoryPath: string;
  /**
   * The repository that the path means here; absent if it means none. A yes counts for this repository only: once the path
   * means another one, the primary is asked again.
   */
  readonly uuid?: string;
  /** The block of the caller's address, for limits. The answer does not depend on it. */
  readonly source?: string;
}

/** The primary's answer to one question. */
export type PrimaryAnswer =
  | {
      readonly kind: "allowed";
      /** The repository's path after redirects; absent if it is on another host. */
      readonly finalPath?: string;
      /** The primary's name for the caller, if it sends one. */
      readonly callerName?: string;
    }
  | {
      readonly kind: "refused";
      /** The primary's status; 503 if it shows other refs under this name than the mirror serves. */
      readonly status: number;
      /** One line in the primary's own words. */
      readonly hint?: string;
    }
  | {
      readonly kind: "undecided";
      /**
       * `"unreadable"`: the primary answered, but the mirror could not read its own refs to compare them.
       * `"busy"`: too many questions of this process waited. It says nothing about the primary, and is never stored.
       */
      readonly cause: "unreachable" | "rate-limited" | "unreadable" | "busy";
      /** The primary's HTTP status, if there was one. */
      readonly status?: number;
      /** For the log. */
      readonly reason: string;
      readonly retryAfterSeconds?: number;
    };

/** Never rejects: a failure is the answer `undecided`. */
export type AskPrimary = (question: ReadQuestion, options: AskOptions) => Promise<PrimaryAnswer>;

/**
 * Asks the primary as the mirror itself, about what no caller chose.
 * @returns Whether it answers, whatever it says; `true` if nothing is mirrored. Never rejects.
 */
export type ProbePrimary = (signal: AbortSignal) => Promise<boolean>;

export interface AskOptions {
  /** Called after a 401. @returns Whether to ask once more before the 401 is believed. */
  readonly retriesUnauthorized: () => Promise<boolean>;
  readonly signal: AbortSignal;
  /** Without it, a question that broke is repeated once in any case. */
  readonly retryBudget?: RetryLimit;
}

/** Small texts, shared by every process of a mirror. Any call may fail. */
export interface VerdictStore {
  read(key: string): Promise<{ readonly text: string; readonly version: string } | undefined>;
  /**
   * Replaces this version only; `"absent"`: creates the text only if there is none.
   * @returns The version written; `undefined` on a conflict.
   */
  replace(key: string, text: string, ifVersion: string): Promise<string | undefined>;
}
