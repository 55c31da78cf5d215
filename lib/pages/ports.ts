/** What the pages need from outside: who may read or administer, the repositories that Bitbucket lists for a caller, and what acts on the mirror. */
import type { BitbucketWorkspace } from "../bitbucket/administered-workspaces.ts";
import type { HttpRequest } from "../http/message.ts";
import type { Logger } from "../log.ts";
import type { MetricName } from "../metrics.ts";
import type { MirrorConfig, MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { SyncRequests } from "../mirror/sync-job.ts";

export interface NamedRepository {
  readonly workspace: string;
  readonly slug: string;
}

export type ReadDecision =
  | {
      readonly kind: "allowed";
      /** The only repository that may be shown; absent if the name means none. */
      readonly uuid?: string | undefined;
    }
  /** `unauthorized`: Bitbucket rejects the credential, or asks for one. `busy`: there is no answer yet. */
  | { readonly kind: "unauthorized" | "not-found" | "busy"; readonly text: string };

/**
 * The same decision as for git.
 * @param authorization - In place of the request's own.
 */
export type MayRead = (
  request: HttpRequest,
  authorization: string | undefined,
  repository: NamedRepository,
) => Promise<ReadDecision>;

export interface ListedRepository {
  readonly uuid: string;
  readonly slug: string;
  readonly projectKey: string | undefined;
  readonly isPrivate: boolean;
}

/**
 * The repositories in a workspace that the credential may read.
 * @throws {NotFoundError} The caller does not see the workspace.
 * @throws {UpstreamError} With `status` 401 or 403 if the credential may not list repositories.
 */
export type ListReadable = (authorization: string, workspace: string) => AsyncIterable<ListedRepository>;

/** What administrators see and do. */
export interface Administration {
  /**
   * The workspaces that the credential's owner administers at Bitbucket.
   * @param authorization - For REST.
   * @throws {UpstreamError} With `status` 401 or 403 if Bitbucket does not say it to this credential.
   */
  readonly administered: (authorization: string) => Promise<readonly BitbucketWorkspace[]>;
  readonly requests: SyncRequests;
  /** Whether administrators connect workspaces that are not mirrored. */
  readonly canConnect: boolean;
  /** What the operator types to connect one, with `<workspace>` for its name; by default, for the store of a server. */
  readonly connectCommand?: string;
  /** Absent where this process may not change what is mirrored, and `delegate` does it. */
  readonly configuration?: {
    readonly change: (change: (config: MirrorConfig) => MirrorConfig) => Promise<unknown>;
    /** Asks Bitbucket with the workspace's account. @returns An example of what it shows. @throws {MirrorError} It is of no use. */
    readonly tryAccount: (workspace: MirroredWorkspace) => Promise<string>;
    /** Has what Bitbucket's next list still lacks withdrawn. @param only - Slugs; all that lists lack unless given. */
    readonly acceptRemovals: (workspace: string, only?: readonly string[]) => Promise<unknown>;
  };
  /** Absent as `configuration`. */
  readonly deadLetters?: {
    /** In words. */
    readonly list: (workspace: string) => Promise<readonly string[]>;
    /** @returns How many were sent to their queues again. */
    readonly replay: (workspace: string) => Promise<number>;
  };
  /** Has another process do what this one may not. */
  readonly delegate?: Delegate;
  /** Of all workspaces together. */
  readonly history?: () => MeasuredHistory | Promise<MeasuredHistory>;
  readonly log: Logger;
}

/** What another process is asked for, as the caller. */
export interface DelegatedRequest {
  readonly workspace: string;
  /** The caller's, for REST: that process asks Bitbucket whether the caller administers the workspace. */
  readonly authorization: string;
  /** One of the page's; absent for the list of dead letters. */
  readonly action?: string;
  /** As browsers send it. */
  readonly form?: string;
}

export interface Delegate {
  /** @throws {ConfigError} It was not done, with a message for the administrator. @throws {OverloadedError} There is no answer now. */
  readonly perform: (request: Required<DelegatedRequest>) => Promise<unknown>;
  /** @returns In words. Errors as of `perform`. */
  readonly deadLetters: (request: DelegatedRequest) => Promise<readonly string[]>;
}

/** Measurements in slots of time, the last of which is not over. */
export interface MeasuredHistory {
  readonly slotMs: number;
  readonly slotCount: number;
  /** Of the last slot. */
  readonly lastSlotAtMs: number;
  /** Sums of counters, and the highest values of histograms and gauges; one for each slot, oldest first. `undefined`: they are not recorded. */
  readonly valuesOf: (name: MetricName) => readonly number[] | undefined;
}
