/** A request for a pack, whichever protocol it came in. */
import type { ObjectId } from "../object-id.ts";
import type { FilterSpec } from "./filter-spec.ts";

/** Where the client wants its history to end. */
export type Deepening =
  | {
      readonly kind: "depth";
      readonly depth: number;
      /** Count from the nearest commit below the wants at which the client's history ends, not from the wants. */
      readonly isRelative: boolean;
    }
  | {
      readonly kind: "revisions";
      /** 0 if the age of commits does not matter. */
      readonly sinceSeconds: number;
      /** Refs that the history is not to reach into. */
      readonly excluded: readonly string[];
    };

/** How much of the history a client has and wants. */
export interface HistoryRequest {
  /** Commits that it has, but not their parents. */
  readonly shallows: readonly ObjectId[];
  readonly deepen: Deepening | undefined;
  readonly filter: FilterSpec | undefined;
}

export interface FetchRequest extends HistoryRequest {
  readonly wants: readonly ObjectId[];
  /** Refs that are wanted at whatever they point to now. */
  readonly wantRefs: readonly string[];
  /** In the order given. */
  readonly haves: readonly ObjectId[];
  /** The client wants the pack now, whatever is common. */
  readonly isDone: boolean;
  readonly waitForDone: boolean;
  readonly thinPack: boolean;
  readonly ofsDelta: boolean;
  readonly noProgress: boolean;
  readonly includeTag: boolean;
  /** All lines of the answer go through the side-band. */
  readonly sidebandAll: boolean;
  /** By which the client fetches packs from elsewhere; empty if it does not. */
  readonly uriProtocols: readonly string[];
}

/** What the original protocol's capabilities say in addition. */
export interface FetchRequestV0 extends FetchRequest {
  readonly multiAck: "none" | "plain" | "detailed";
  readonly noDone: boolean;
  readonly sideband: "none" | "side-band" | "side-band-64k";
  /** A flush came after the wants, but neither haves nor `done`: nothing to answer. */
  readonly hasEndedEarly: boolean;
}

export interface LsRefsRequest {
  readonly peel: boolean;
  readonly symrefs: boolean;
  readonly unborn: boolean;
  /** Only refs that begin with one of these; all, if there are none. */
  readonly prefixes: readonly string[];
}

/** What one request may ask for. Each holds for one request body, so for memory, too. */
export interface RequestLimits {
  /** A clone wants each ref once. Bitbucket repositories with 100,000 refs exist; ten times that does not work there. */
  readonly maxWants: number;
  /** git sends at most some ten thousands in its last round. */
  readonly maxHaves: number;
  /** Of one `object-info`: each may take a read of the store. */
  readonly maxInfoObjects: number;
  /** A client names every commit at which its history ends: thousands after a depth of 50 in a history of many merges. */
  readonly maxShallows: number;
  /** Each is looked up among the refs. */
  readonly maxDeepenNots: number;
  /** Past this many prefixes all refs are listed, as git does: the client filters anyway. */
  readonly maxRefPrefixes: number;
  /** Longer than any capability or ref name that is in use; the wire allows 65,516. */
  readonly maxLineBytes: number;
  /** Of the body once inflated, lines that are repeated and not kept included. */
  readonly maxBodyBytes: number;
  /** Called for what is kept of the body; throws when that is too much. */
  readonly keep?: (bytes: number) => void;
}

export const DEFAULT_REQUEST_LIMITS: RequestLimits = {
  maxWants: 1_000_000,
  maxHaves: 250_000,
  maxInfoObjects: 10_000,
  maxShallows: 250_000,
  maxDeepenNots: 1000,
  maxRefPrefixes: 65_536,
  maxLineBytes: 8192,
  maxBodyBytes: 16 * 1024 * 1024,
};
