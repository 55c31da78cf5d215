/** What the authorizer asks of others. */

export interface ReadQuestion {
  /** The caller's `Authorization` header as it came; `undefined` when there is none. */
  readonly authorization: string | undefined;
  /** Of the repository below the primary's git address, lower case: `workspace/slug` or `workspace/{uuid}`. */
  readonly repositoryPath: string;
  /**
   * The repository that the path means here; absent where it means none. A yes is for this one only: once the path means
   * another, the primary is asked again.
   */
  readonly uuid?: string;
}

/** What the primary said to one question. */
export type PrimaryAnswer =
  | {
      readonly kind: "allowed";
      /** Where the repository was found after redirects, as in a question; absent for another host. */
      readonly finalPath?: string;
      /** The primary's name for the caller, where it tells. */
      readonly callerName?: string;
    }
  | {
      readonly kind: "refused";
      /** What the primary said; 503 for a name under which it shows other refs than are served here. */
      readonly status: number;
      /** One line in the primary's own words. */
      readonly hint?: string;
    }
  | {
      readonly kind: "undecided";
      readonly cause: "unreachable" | "rate-limited";
      /** What is wrong, for the log. */
      readonly reason: string;
      readonly retryAfterSeconds?: number;
    };

/** A yes of the primary, and when it was asked. */
export interface ConfirmedRight {
  readonly askedAtMs: number;
  readonly finalPath?: string;
  readonly callerName?: string;
}

/** Never rejects: that nothing could be learned is an answer. */
export type AskPrimary = (question: ReadQuestion) => Promise<PrimaryAnswer>;

/** Keeps small texts that every process of a mirror sees. Any call may fail. */
export interface VerdictStore {
  read(key: string): Promise<string | undefined>;
  write(key: string, text: string): Promise<void>;
  delete(key: string): Promise<void>;
}
