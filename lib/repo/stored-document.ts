/**
 * One JSON document in the store, changed by compare-and-swap. Two releases may use it at once:
 *
 * - Fields that this release does not know are kept and written back, at every level.
 * - `mustUnderstand` lists what a release has to know to use the document, as git's `extensions.*` do. A release that does not
 *   know an entry refuses the document and never writes it.
 * - A removed document leaves a tombstone, written and overwritten by compare-and-swap: not every S3 server checks the condition
 *   of a DELETE. Readers see an absent document.
 * - A `checksum`, where there is one, is verified on each read and computed anew on each write.
 */
import * as z from "zod/mini";
import {
  assertUnderstood,
  canonicalJson,
  documentChecksum,
  type Identify,
  isObject,
  type JsonObject,
  keepUnknownFields,
  unknownFields,
} from "../document-json.ts";
import {
  insteadOf,
  type MirrorError,
  NotFoundError,
  StoredDocumentError,
  VersionConflictError,
} from "../errors.ts";
import type { Blob, BlobVersion, WholeBlobs } from "../store/blob-store.ts";

/** What documents of one kind have in common. */
export interface DocumentForm<Value extends object> {
  /** Strips what it does not know. Reads its own output; gives no field another name. */
  readonly schema: z.core.$ZodType<Value>;
  /** What `read` does with a damaged document: `absent` where it can be made anew from nothing, or from other documents. */
  readonly whenDamaged: "throw" | "absent";
  /** For documents that decide what is served. `needed`: one without a checksum is damaged. By default it keeps one that it has. */
  readonly checksum?: "needed" | "written";
  /** Entries of `mustUnderstand` that this release knows. */
  readonly understands?: readonly string[];
  /** Of objects within the document. By default an object is known by its `id`. */
  readonly identify?: Identify;
  /** What the document is about. One about something else gets none of the fields that this release does not know. */
  readonly subject?: (value: Value) => string;
  readonly indent?: number;
  readonly maxBytes?: number;
  /** @returns The error for a document that cannot be read or must not be written. By default a {@link StoredDocumentError}. */
  readonly invalid?: (
    problem: string,
    details: { readonly key: string; readonly cause?: unknown },
  ) => MirrorError;
  /** Fails where a field that this release does not know is a mistake. */
  readonly checkUnknownFields?: (value: Value, fields: readonly string[]) => string | undefined;
}

/** A document as it was read or written; what a write replaces. */
export interface Stored<Value> {
  /** Absent where there is no document, or a damaged one. */
  readonly value: Value | undefined;
  /** Of the blob, which may be a tombstone. */
  readonly version: BlobVersion | "absent";
  /** As JSON, with the fields that this release does not know. Absent where `value` is. */
  readonly source?: JsonObject | undefined;
  /** It had a checksum, so it gets one again. */
  readonly hasChecksum?: boolean | undefined;
  /** What is wrong with it, if it is damaged. */
  readonly damage?: MirrorError | undefined;
}

export const NO_DOCUMENT = { value: undefined, version: "absent" } as const satisfies Stored<never>;

/** More lost races in a row are no accident: few writers share a document. */
const MAX_TRIES = 8;

const TOMBSTONE: JsonObject = { tombstone: true };

/** What a change gives to leave the document as it is, also a damaged one. */
export const UNCHANGED: unique symbol = Symbol("unchanged");

/**
 * Removes a document of any form: leaves a tombstone in place of this version.
 * @returns The tombstone's version. @throws {VersionConflictError} Another writer was first: nothing was removed.
 */
export function leaveTombstone(store: WholeBlobs, key: string, over: BlobVersion): Promise<BlobVersion> {
  return store.write(key, bytesOf(TOMBSTONE), { ifVersion: over });
}

export class StoredDocument<Value extends object> {
  readonly key: string;
  readonly #store: WholeBlobs;
  readonly #form: DocumentForm<Value>;

  constructor(store: WholeBlobs, key: string, form: DocumentForm<Value>) {
    this.#store = store;
    this.key = key;
    this.#form = form;
  }

  /**
   * One request.
   * @throws {StoredDocumentError} It is damaged, where its form says so. @throws {NewerReleaseError} Only a newer release understands it.
   */
  async read(): Promise<Stored<Value>> {
    return this.#throwDamage(await this.readForChange());
  }

  /** @returns `known` itself if the document is still that one. Errors as in `read`. */
  async readIfChanged(known: Stored<Value>): Promise<Stored<Value>> {
    if (known.version === "absent") return this.read();
    const blob = await this.#store
      .readIfChanged(this.key, known.version)
      .catch(insteadOf(NotFoundError, undefined));
    return blob === "unchanged" ? known : this.#throwDamage(this.#decode(blob));
  }

  /** As `read`, but a damaged document counts as absent: it is to be written anew. */
  async readForChange(): Promise<Stored<Value>> {
    return this.#decode(await this.#store.read(this.key).catch(insteadOf(NotFoundError, undefined)));
  }

  /**
   * Replaces `over`, with the fields of `over` that this release does not know.
   * @throws {VersionConflictError} Another writer was first: nothing was written.
   * @throws {StoredDocumentError} `value` is not of the document's form, which is a bug: nothing was written.
   */
  async write(value: Value, over: Stored<Value>): Promise<Stored<Value>> {
    const { bytes, ...written } = encodeDocument(value, over, this.key, this.#form);
    const version = await this.#store.write(this.key, bytes, { ifVersion: over.version });
    return { ...written, version };
  }

  /** Leaves a tombstone in place of `over`. @throws {VersionConflictError} Another writer was first: nothing was removed. */
  async remove(over: Stored<Value>): Promise<Stored<Value>> {
    if (over.version === "absent" || (over.value === undefined && over.damage === undefined)) return over;
    return { value: undefined, version: await leaveTombstone(this.#store, this.key, over.version) };
  }

  /**
   * Changes the document, also while other writers do. A damaged one counts as absent.
   * @param update - Called again after a lost race. Its result replaces the document; `undefined` removes it, also a damaged
   *   one. Nothing is written where the result is equal to what there is, or {@link UNCHANGED}.
   * @param known - As read before, to save a read.
   * @throws {VersionConflictError} Other writers were first, eight times in a row.
   */
  async change(
    update: (value: Value | undefined, stored: Stored<Value>) => Change<Value> | Promise<Change<Value>>,
    known?: Stored<Value>,
  ): Promise<Stored<Value>> {
    let current = known ?? (await this.readForChange());
    for (let tries = 1; ; tries++) {
      const next = await update(current.value, current);
      if (next === UNCHANGED || (next !== undefined && isSameDocument(next, current.value))) return current;
      try {
        return await (next === undefined ? this.remove(current) : this.write(next, current));
      } catch (error) {
        if (!(error instanceof VersionConflictError) || tries === MAX_TRIES) throw error;
        current = await this.readForChange();
      }
    }
  }

  #throwDamage(stored: Stored<Value>): Stored<Value> {
    if (stored.damage !== undefined && this.#form.whenDamaged === "throw") throw stored.damage;
    return stored;
  }

  #decode(blob: Blob | undefined): Stored<Value> {
    if (blob === undefined) return NO_DOCUMENT;
    return { ...decodeDocument(blob.bytes, this.key, this.#form), version: blob.version };
  }
}

type Change<Value> = Value | undefined | typeof UNCHANGED;

type DecodedDocument<Value> = Omit<Stored<Value>, "version">;

/** @throws {NewerReleaseError} Only a newer release understands it. */
export function decodeDocument<Value extends object>(
  bytes: Uint8Array,
  key: string,
  form: DocumentForm<Value>,
): DecodedDocument<Value> {
  const { invalid = invalidDocument } = form;
  const damaged = (problem: string, cause?: unknown) => {
    return { value: undefined, damage: invalid(problem, { key, cause }) };
  };
  if (bytes.length > (form.maxBytes ?? bytes.length)) return damaged(`longer than ${form.maxBytes} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    return damaged("not JSON", error);
  }
  if (!isObject(json)) return damaged("not a JSON object");
  if (json["tombstone"] === true) return { value: undefined };
  assertUnderstood(json, key, form.understands);
  const { checksum, ...source } = json;
  const hasChecksum = checksum !== undefined || form.checksum === "needed";
  if (hasChecksum && checksum !== documentChecksum(source))
    return damaged("its checksum is missing or wrong");
  const parsed = z.safeParse(form.schema, source);
  if (!parsed.success) return damaged(z.prettifyError(parsed.error), parsed.error);
  const problem = form.checkUnknownFields?.(parsed.data, unknownFields(toJson(parsed.data), source));
  return problem === undefined ? { value: parsed.data, source, hasChecksum } : damaged(problem);
}

/** @throws {StoredDocumentError} `value` is not of the form. */
function encodeDocument<Value extends object>(
  value: Value,
  over: DecodedDocument<Value>,
  key: string,
  form: DocumentForm<Value>,
): DecodedDocument<Value> & { readonly bytes: Uint8Array } {
  const { identify = ({ id }) => id, invalid = invalidDocument } = form;
  const isSame = over.value !== undefined && form.subject?.(value) === form.subject?.(over.value);
  const [known, knownSource] = isSame ? [over.value, over.source] : [];
  const source = keepUnknownFields(value, known ?? {}, knownSource ?? {}, identify);
  const parsed = z.safeParse(form.schema, source);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error), { key, cause: parsed.error });
  const hasChecksum = form.checksum !== undefined || over.hasChecksum === true;
  const bytes = bytesOf(
    hasChecksum ? { ...source, checksum: documentChecksum(source) } : source,
    form.indent,
  );
  if (bytes.length > (form.maxBytes ?? bytes.length))
    throw invalid(`longer than ${form.maxBytes} bytes`, { key });
  return { bytes, value: parsed.data, source, hasChecksum };
}

function invalidDocument(problem: string, details: { key: string; cause?: unknown }): StoredDocumentError {
  return new StoredDocumentError(`${details.key} is damaged: ${problem.slice(0, 1_000)}`, details);
}

/** Whether both are stored as the same JSON. */
export function isSameDocument(a: object | undefined, b: object | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalJson(toJson(a)) === canonicalJson(toJson(b));
}

/** Without fields that are `undefined`, as they are stored. */
function toJson(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

function bytesOf(json: JsonObject, indent?: number): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(json, undefined, indent)}\n`);
}
