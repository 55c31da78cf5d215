/**
 * What is known of a question or a caller, as `auth/<hmac>`: for the other processes of the mirror, so that a hundred functions started
 * at once need not all ask, and for the time when the primary is away.
 */
import { z } from "zod";
import type { VerdictStore } from "./ports.ts";
import { recordSchema, type VerdictRecord } from "./verdict-record.ts";

export const VERDICT_PREFIX = "auth/";

/** Who is asking the primary, and until when others leave it to that process. */
const claimSchema = z.strictObject({
  by: z.string(),
  untilMs: z.number(),
  /** The primary has said what is no yes, and is being asked once more. */
  isDoubted: z.literal(true).exactOptional(),
});

const storedSchema = z.strictObject({
  record: recordSchema.exactOptional(),
  claim: claimSchema.exactOptional(),
});

/** Of a credential: when the primary took it. */
const takenSchema = z.strictObject({ takenAtMs: z.number() });

export type Claim = z.infer<typeof claimSchema>;

export interface StoredVerdict {
  readonly record?: VerdictRecord;
  readonly claim?: Claim;
  /** `"absent"`: there is nothing to replace. */
  readonly version: string;
}

/** Clocks of two machines may differ by so much; a time further ahead is nonsense. */
const MAX_CLOCK_SKEW_MS = 2_000;

export class StoredVerdicts {
  readonly #store: VerdictStore;

  constructor(store: VerdictStore) {
    this.#store = store;
  }

  /** What cannot be understood counts for nothing, and is replaced. */
  async read(key: string, nowMs: number): Promise<StoredVerdict> {
    const stored = await this.#store.read(`${VERDICT_PREFIX}${key}`);
    if (stored === undefined) return { version: "absent" };
    const { version } = stored;
    const { record, claim } = parsed(stored.text, storedSchema) ?? {};
    const isSound =
      record !== undefined &&
      Math.max(record.askedAtMs, record.right?.askedAtMs ?? 0) <= nowMs + MAX_CLOCK_SKEW_MS;
    return { version, ...(isSound && { record }), ...(claim && { claim }) };
  }

  /** @returns The version written; `undefined` if another process was first. */
  replace(key: string, { version, ...stored }: StoredVerdict): Promise<string | undefined> {
    return this.#store.replace(`${VERDICT_PREFIX}${key}`, JSON.stringify(stored), version);
  }

  async readTaken(callerKey: string, nowMs: number): Promise<number | undefined> {
    const stored = await this.#store.read(`${VERDICT_PREFIX}${callerKey}`);
    const takenAtMs = stored && parsed(stored.text, takenSchema)?.takenAtMs;
    return takenAtMs !== undefined && takenAtMs <= nowMs + MAX_CLOCK_SKEW_MS ? takenAtMs : undefined;
  }

  writeTaken(callerKey: string, takenAtMs: number): Promise<void> {
    return this.#store.write(`${VERDICT_PREFIX}${callerKey}`, JSON.stringify({ takenAtMs }));
  }
}

function parsed<Document>(text: string, schema: z.ZodType<Document>): Document | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined; // as for a document of another kind below: without it the primary is asked
  }
  return schema.safeParse(json).data;
}
