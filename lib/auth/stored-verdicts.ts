/**
 * The last yes for a credential and a repository, as `auth/<hmac>`: for the other processes of the mirror, so that a
 * hundred functions started at once need not all ask, and for the time when the primary is away.
 */
import { z } from "zod";
import type { ConfirmedRight, VerdictStore } from "./ports.ts";

export const VERDICT_PREFIX = "auth/";

const verdictSchema = z.strictObject({
  askedAt: z.iso.datetime(),
  finalPath: z.string().optional(),
  callerName: z.string().optional(),
});

/** Clocks of two machines may differ by so much; a time further ahead is nonsense. */
const MAX_CLOCK_SKEW_MS = 2_000;

export class StoredVerdicts {
  readonly #store: VerdictStore;
  readonly #staleMs: number;

  /** @param staleMs - 0: nothing is stored or read. */
  constructor(store: VerdictStore, staleMs: number) {
    this.#store = store;
    this.#staleMs = staleMs;
  }

  /** @returns `undefined` for none, one that has expired, and one that cannot be understood. */
  async read(key: string, nowMs: number): Promise<ConfirmedRight | undefined> {
    if (this.#staleMs === 0) return undefined;
    const text = await this.#store.read(`${VERDICT_PREFIX}${key}`);
    const right = text === undefined ? undefined : parseVerdict(text);
    if (right === undefined || right.askedAtMs > nowMs + MAX_CLOCK_SKEW_MS) return undefined;
    return nowMs < right.askedAtMs + this.#staleMs ? right : undefined;
  }

  async write(key: string, { askedAtMs, ...found }: ConfirmedRight): Promise<void> {
    if (this.#staleMs === 0) return;
    const text = JSON.stringify({ askedAt: new Date(askedAtMs).toISOString(), ...found });
    await this.#store.write(`${VERDICT_PREFIX}${key}`, text);
  }

  async delete(key: string): Promise<void> {
    if (this.#staleMs > 0) await this.#store.delete(`${VERDICT_PREFIX}${key}`);
  }
}

function parseVerdict(text: string): ConfirmedRight | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined; // as for a document of another kind below: without it the primary is asked
  }
  const { data } = verdictSchema.safeParse(json);
  if (data === undefined) return undefined;
  const { askedAt, finalPath, callerName } = data;
  return {
    askedAtMs: Date.parse(askedAt),
    ...(finalPath !== undefined && { finalPath }),
    ...(callerName !== undefined && { callerName }),
  };
}
