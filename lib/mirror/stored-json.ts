/** A JSON document in the store that can be worked out anew, changed by compare-and-swap. */
import * as z from "zod";
import { ConfigError, NotFoundError, VersionConflictError } from "../errors.ts";
import type { BlobVersion, WholeBlobs } from "../store/blob-store.ts";

const versionSchema = z.object({ formatVersion: z.number().int().nonnegative() });

export interface StoredJson<T> {
  readonly value: T | undefined;
  readonly version: BlobVersion | "absent";
}

/** Writers of one document are few: a repository's jobs come one at a time. */
const MAX_TRIES = 8;

/** What cannot be understood is taken for absent, and written over. @throws {ConfigError} It is of a newer release. */
export async function readStoredJson<T extends { readonly formatVersion: number }>(
  store: WholeBlobs,
  key: string,
  schema: z.ZodType<T>,
): Promise<StoredJson<T>> {
  try {
    const { bytes, version } = await store.read(key);
    return { value: parse(bytes, key, schema), version };
  } catch (error) {
    if (error instanceof NotFoundError) return { value: undefined, version: "absent" };
    throw error;
  }
}

/** @param known - As read just now; it is read again when another writer was first. */
export async function changeStoredJson<T extends { readonly formatVersion: number }>(
  store: WholeBlobs,
  key: string,
  schema: z.ZodType<T>,
  change: (value: T | undefined) => T,
  known?: StoredJson<T>,
): Promise<StoredJson<T>> {
  let current = known ?? (await readStoredJson(store, key, schema));
  for (let tries = 1; ; tries++) {
    const value = change(current.value);
    const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
    try {
      return { value, version: await store.write(key, bytes, { ifVersion: current.version }) };
    } catch (error) {
      if (!(error instanceof VersionConflictError) || tries === MAX_TRIES) throw error;
      current = await readStoredJson(store, key, schema);
    }
  }
}

function parse<T>(bytes: Uint8Array, key: string, schema: z.ZodType<T>): T | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  // Not damage: it must not be written over by a release that does not know it.
  if ((versionSchema.safeParse(json).data?.formatVersion ?? 0) > 1)
    throw new ConfigError("the store was written by a newer release", { key });
  return undefined;
}
