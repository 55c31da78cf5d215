/** How the fake's git-lfs side misbehaves, and what it was asked: batches, locks, and transfers at its storage. */
import * as z from "zod";

const faultsSchema = z.strictObject({
  /** How many more requests the storage's faults below are for; null: all. */
  transfersLeft: z.number().int().nonnegative().nullable(),
  /** How long a link works. */
  linkSeconds: z.number(),
  /** Whether a link says so; without it a client learns only by the storage's 403. */
  saysExpiry: z.boolean(),
  /** Whether there are locks; Bitbucket Cloud has none. */
  locks: z.boolean(),
  /** Whether uploads are to be confirmed: by a request to an address of its own. */
  verifies: z.boolean(),
  /** Answer each batch with this status; null: don't. */
  batchStatus: z.number().int().min(400).max(599).nullable(),
  /** With that status; null: without `Retry-After`. */
  batchRetryAfterSeconds: z.number().int().nonnegative().nullable(),
  /** Wait before each answer to a batch. */
  batchDelayMs: z.number().nonnegative(),
  /** The error of an object, by its oid. */
  objectErrors: z.record(z.string(), z.strictObject({ code: z.number(), message: z.string() })),
  /** Changes to the entry of an object, by its oid. */
  objectChanges: z.record(z.string(), z.record(z.string(), z.json())),
  /** Oids of objects that answers leave out. */
  leftOut: z.array(z.string()),
  /** Answer each transfer with this status; null: don't. */
  storageStatus: z.number().int().min(400).max(599).nullable(),
  /** Change the first byte of what is downloaded. */
  wrongBytes: z.boolean(),
  /** Break the connection after so many bytes of a download; null: don't. */
  cutAfterBytes: z.number().int().nonnegative().nullable(),
  /** Send downloads no faster; null: as fast as they go. */
  bytesPerSecond: z.number().positive().nullable(),
  /** Answer a range with the whole file. */
  ignoresRanges: z.boolean(),
});

export type LfsFaults = z.infer<typeof faultsSchema>;

const NO_FAULTS: LfsFaults = {
  transfersLeft: null,
  linkSeconds: 300,
  saysExpiry: true,
  locks: false,
  verifies: false,
  batchStatus: null,
  batchRetryAfterSeconds: null,
  batchDelayMs: 0,
  objectErrors: {},
  objectChanges: {},
  leftOut: [],
  storageStatus: null,
  wrongBytes: false,
  cutAfterBytes: null,
  bytesPerSecond: null,
  ignoresRanges: false,
};

export interface LfsBatchRecord {
  /** `workspace/slug` as in the path. */
  readonly repository: string;
  readonly operation: string;
  readonly transfers: readonly string[];
  readonly oids: readonly string[];
  /** Absent when anonymous or refused. */
  caller?: string;
  status?: number;
}

export interface LfsTransferRecord {
  readonly method: string;
  readonly oid: string;
  readonly range: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  status?: number;
}

export class LfsControls {
  readonly batches: LfsBatchRecord[] = [];
  readonly transfers: LfsTransferRecord[] = [];
  /** Oids of uploads that clients have confirmed. */
  readonly verified: string[] = [];
  #faults: LfsFaults = NO_FAULTS;

  get faults(): LfsFaults {
    return this.#faults;
  }

  /** Sets the switches named and leaves the others as they are. */
  misbehave(changes: Partial<LfsFaults>): void {
    this.#faults = faultsSchema.parse({ ...this.#faults, ...changes });
  }

  /** Good behaviour, nothing recorded. */
  reset(): void {
    this.#faults = NO_FAULTS;
    this.batches.length = 0;
    this.transfers.length = 0;
    this.verified.length = 0;
  }

  /** The faults for one transfer that has just come in. */
  takeTransferFaults(): LfsFaults {
    const { transfersLeft } = this.#faults;
    const { linkSeconds, locks } = this.#faults;
    if (transfersLeft === 0) return { ...NO_FAULTS, linkSeconds, locks };
    const faults = this.#faults;
    if (transfersLeft !== null) this.misbehave({ transfersLeft: transfersLeft - 1 });
    return faults;
  }
}
