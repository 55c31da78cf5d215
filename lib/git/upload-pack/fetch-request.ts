/** A request for a pack, whichever protocol it came in. */
import type { ObjectId } from "../object-id.ts";

export interface FetchRequest {
  readonly wants: readonly ObjectId[];
  /** In the order given. */
  readonly haves: readonly ObjectId[];
  /** The client wants the pack now, whatever is common. */
  readonly isDone: boolean;
  readonly waitForDone: boolean;
  readonly thinPack: boolean;
  readonly ofsDelta: boolean;
  readonly noProgress: boolean;
  readonly includeTag: boolean;
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
  /** Past this many prefixes all refs are listed, as git does: the client filters anyway. */
  readonly maxRefPrefixes: number;
  /** Longer than any capability or ref name that is in use; the wire allows 65,516. */
  readonly maxLineBytes: number;
  /** Of the body once inflated: room for the wants and haves above at 50 bytes each. */
  readonly maxBodyBytes: number;
}

export const DEFAULT_REQUEST_LIMITS: RequestLimits = {
  maxWants: 1_000_000,
  maxHaves: 250_000,
  maxRefPrefixes: 65_536,
  maxLineBytes: 8192,
  maxBodyBytes: 64 * 1024 * 1024,
};
