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
  /** What the caller's address counts as. The answer does not depend on it. */
  readonly source?: string;
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
      /** `"unreadable"`: the primary has answered, but what the mirror has of the repository could not be held against that. */
      readonly cause: "unreachable" | "rate-limited" | "unreadable";
      /** What is wrong, for the log. */
      readonly reason: string;
      readonly retryAfterSeconds?: number;
      /** Whether the primary is away for all questions, as far as this one shows. */
      readonly outage?: "certain" | "likely";
    };

/** Never rejects: that nothing could be learned is an answer. */
export type AskPrimary = (question: ReadQuestion, how: AskingHow) => Promise<PrimaryAnswer>;

export interface AskingHow {
  /** Called for a 401: whether it is asked about once more before it is passed on. */
  readonly retries401: () => Promise<boolean>;
  /** Called when the primary has said what is no yes, and is asked once more: it is there, whatever comes of that. */
  readonly onDoubt: () => void;
  /** When it aborts, nothing could be learned. */
  readonly signal: AbortSignal;
}

/** Keeps small texts that every process of a mirror sees. Any call may fail. */
export interface VerdictStore {
  read(key: string): Promise<{ readonly text: string; readonly version: string } | undefined>;
  write(key: string, text: string): Promise<void>;
  /**
   * Writes over this version only; over none for `"absent"`.
   * @returns The version written; `undefined` if there is another one by now.
   */
  replace(key: string, text: string, ifVersion: string): Promise<string | undefined>;
}
