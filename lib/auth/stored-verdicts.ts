/**
 * What is known of a question, as `auth/<hmac>`: for the other processes of the mirror, so that a hundred functions started
 * at once need not all ask, and for the time when the primary is away.
 */
import { z } from "zod";
import type { VerdictStore } from "./ports.ts";
import { recordSchema, type VerdictRecord } from "./verdict-record.ts";

export const VERDICT_PREFIX = "auth/";

/** Who is asking the primary, and until when others leave it to that process. */
const claimSchema = z.strictObject({ by: z.string(), untilMs: z.number() });

const storedSchema = z.strictObject({
  record: recordSchema.exactOptional(),
  claim: claimSchema.exactOptional(),
});

export interface StoredVerdict {
  readonly record?: VerdictRecord;
  readonly claim?: z.infer<typeof claimSchema>;
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
    const { record, claim } = parseStored(stored.text);
    const isSound =
      record !== undefined &&
      Math.max(record.askedAtMs, record.right?.askedAtMs ?? 0) <= nowMs + MAX_CLOCK_SKEW_MS;
    return { version, ...(isSound && { record }), ...(claim && { claim }) };
  }

  /** @returns The version written; `undefined` if another process was first. */
  replace(key: string, { version, ...stored }: StoredVerdict): Promise<string | undefined> {
    return this.#store.replace(`${VERDICT_PREFIX}${key}`, JSON.stringify(stored), version);
  }
}

function parseStored(text: string): z.infer<typeof storedSchema> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return {}; // as for a document of another kind below: without it the primary is asked
  }
  return storedSchema.safeParse(json).data ?? {};
}
