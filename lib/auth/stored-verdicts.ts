/**
 * What is known of a question or a caller, as `auth/<hmac>`: shared by all processes of the mirror, so that a hundred
 * functions started at once ask once, and for the time of an outage. Two releases may share it: fields that this one does not
 * know stay with the answer that they came with, and end with it; for `mustUnderstand` see document-json.ts.
 */
import * as z from "zod/mini";
import { assertUnderstood, isObject } from "../document-json.ts";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { VerdictStore } from "./ports.ts";
import { recordSchema, type VerdictRecord } from "./verdict-record.ts";

export const VERDICT_PREFIX = "auth/";

/** The process that asks the primary, and until when the others wait for it. */
const claimSchema = z.looseObject({ by: z.string(), untilMs: z.number() });

const storedSchema = z.looseObject({
  record: z.exactOptional(recordSchema),
  claim: z.exactOptional(claimSchema),
});

/** Of a credential, within the minute from `sinceMs`. `asked` includes those under way. */
const questionsSchema = z.looseObject({
  sinceMs: z.number(),
  asked: z.number(),
  refused: z.number(),
  /** About names that mean nothing here. */
  unanswered: z.exactOptional(z.number()),
});

/** Of a credential, see `CallerStandings`. */
const standingSchema = z.looseObject({
  acceptedAtMs: z.exactOptional(z.number()),
  questions: z.exactOptional(questionsSchema),
});

export type CallerStanding = z.infer<typeof standingSchema>;

export interface StoredStanding {
  readonly standing: CallerStanding;
  /** `"absent"`: there is none yet. */
  readonly version: string;
}

export interface StoredVerdict {
  readonly record?: VerdictRecord;
  readonly claim?: z.infer<typeof claimSchema>;
  /** `"absent"`: there is none yet. */
  readonly version: string;
}

/** Clocks of two machines may differ by this much; a time further ahead is invalid. */
const MAX_CLOCK_SKEW_MS = 2_000;

export class StoredVerdicts {
  readonly #store: VerdictStore;
  readonly #log: Logger;

  constructor(store: VerdictStore, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** @returns `undefined` if `work` fails: without the store, the primary is only asked more often. */
  async logFailure<Result>(action: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#log.error("auth:store-failed", { action, ...errorFields(error) });
      return undefined;
    }
  }

  /**
   * A damaged document counts as an empty one, and is replaced.
   * @param formerKeys - Of secrets that are being replaced: read where there is nothing under `key`, and never written.
   * @throws {NewerReleaseError} Only a newer release understands it.
   */
  async read(key: string, nowMs: number, formerKeys: readonly string[] = []): Promise<StoredVerdict> {
    const stored = await this.#readFirst(key, formerKeys);
    if (stored === undefined) return { version: "absent" };
    const { version } = stored;
    const { record, ...others } = parsed(`${VERDICT_PREFIX}${key}`, stored.text, storedSchema) ?? {};
    const isSound =
      record !== undefined &&
      Math.max(record.askedAtMs, record.right?.askedAtMs ?? 0) <= nowMs + MAX_CLOCK_SKEW_MS;
    return { ...others, version, ...(isSound && { record }) };
  }

  /** @returns The version written; `undefined` on a conflict. */
  replace(key: string, { version, ...stored }: StoredVerdict): Promise<string | undefined> {
    return this.#store.replace(`${VERDICT_PREFIX}${key}`, JSON.stringify(stored), version);
  }

  /** As `read`. */
  async readStanding(
    callerKey: string,
    nowMs: number,
    formerKeys: readonly string[] = [],
  ): Promise<StoredStanding> {
    const stored = await this.#readFirst(callerKey, formerKeys);
    if (stored === undefined) return { standing: {}, version: "absent" };
    const { acceptedAtMs, questions, ...others } =
      parsed(`${VERDICT_PREFIX}${callerKey}`, stored.text, standingSchema) ?? {};
    const latestMs = nowMs + MAX_CLOCK_SKEW_MS;
    const standing = {
      ...others,
      ...(acceptedAtMs !== undefined && acceptedAtMs <= latestMs && { acceptedAtMs }),
      ...(questions !== undefined && questions.sinceMs <= latestMs && { questions }),
    };
    return { standing, version: stored.version };
  }

  async #readFirst(key: string, formerKeys: readonly string[]) {
    const stored = await this.#store.read(`${VERDICT_PREFIX}${key}`);
    if (stored !== undefined) return stored;
    for (const formerKey of formerKeys) {
      const former = await this.#store.read(`${VERDICT_PREFIX}${formerKey}`);
      if (former !== undefined) return { text: former.text, version: "absent" };
    }
    return undefined;
  }

  /** @returns The version written; `undefined` on a conflict. */
  replaceStanding(callerKey: string, { standing, version }: StoredStanding): Promise<string | undefined> {
    return this.#store.replace(`${VERDICT_PREFIX}${callerKey}`, JSON.stringify(standing), version);
  }
}

function parsed<Document>(key: string, text: string, schema: z.ZodMiniType<Document>): Document | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined; // as a document that does not match the schema: the primary is asked
  }
  if (isObject(json)) assertUnderstood(json, key);
  return schema.safeParse(json).data;
}
