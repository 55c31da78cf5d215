/** The JSON of stored documents: fields of newer releases, which are kept, and the checksum over all fields. */
import { createHash } from "node:crypto";
import { NewerReleaseError } from "./errors.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [field: string]: Json;
}

/** @returns What identifies an object among others in its place, such as its `id`; `undefined` where nothing does. */
export type Identify = (object: JsonObject) => Json | undefined;

/**
 * Adds to a document what `source` has and this release does not know, at every level. Elements of an array are matched by
 * their identity, or by being equal: fields of one that is gone go with it. What is still the object that was read costs nothing.
 *
 * @param next - Fields that are `undefined` count as absent.
 * @param known - `source` as the schema understood it. A field that is there and not in `next` was removed on purpose.
 * @param identify - Of the objects within the document.
 */
export function keepUnknownFields(
  next: object,
  known: object,
  source: JsonObject,
  identify: Identify,
): JsonObject {
  const knownFields = known as JsonObject;
  const fields = Object.entries(next).flatMap(
    ([name, value]: [string, Json | undefined]): [string, Json][] => {
      if (value === undefined) return [];
      const isOld = Object.hasOwn(known, name) && Object.hasOwn(source, name);
      return [
        [
          name,
          isOld
            ? keepWithin(value, knownFields[name], source[name], identify)
            : keepWithin(value, undefined, undefined, identify),
        ],
      ];
    },
  );
  const unknown = Object.entries(source).filter(
    ([name]) => !Object.hasOwn(known, name) && !Object.hasOwn(next, name),
  );
  // Defines each field, also one called `__proto__`.
  return Object.fromEntries([...fields, ...unknown]);
}

function keepWithin(next: Json, known: Json | undefined, source: Json | undefined, identify: Identify): Json {
  if (next === known && source !== undefined) return source;
  if (isArray(next)) {
    const isOld = known !== undefined && source !== undefined && isArray(known) && isArray(source);
    const [knownElements, elements]: readonly (readonly Json[])[] = isOld ? [known, source] : [];
    const places = new Map(knownElements?.map((element, place) => [identityOf(element, identify), place]));
    return next.map((element) => {
      const place = places.get(identityOf(element, identify)) ?? -1;
      return keepWithin(element, knownElements?.[place], elements?.[place], identify);
    });
  }
  if (!isObject(next)) return next;
  const isSame = isObject(known) && isObject(source) && identify(next) === identify(known);
  return isSame
    ? keepUnknownFields(next, known, source, identify)
    : keepUnknownFields(next, {}, {}, identify);
}

/** @returns The fields of `source` that the schema does not know, such as `workspaces[0].exlude`. */
export function unknownFields(known: Json, source: Json, path = ""): string[] {
  if (isArray(known) && isArray(source)) {
    return source.flatMap((element, place) =>
      unknownFields(known[place] ?? null, element, `${path}[${place}]`),
    );
  }
  if (!isObject(known) || !isObject(source)) return [];
  return Object.entries(source).flatMap(([name, value]) => {
    const field = path === "" ? name : `${path}.${name}`;
    return Object.hasOwn(known, name) ? unknownFields(known[name] ?? null, value, field) : [field];
  });
}

/** @throws {NewerReleaseError} `mustUnderstand` has an entry that is not in `understands`: the document must not be used or written. */
export function assertUnderstood(
  document: JsonObject,
  key: string,
  understands: readonly string[] = [],
): void {
  const { mustUnderstand = [] } = document;
  const entries = Array.isArray(mustUnderstand) ? mustUnderstand : [mustUnderstand];
  const unknown = entries.find((entry) => typeof entry !== "string" || !understands.includes(entry));
  if (unknown === undefined) return;
  const name = JSON.stringify(unknown);
  throw new NewerReleaseError(
    `a newer release wrote ${key}: it uses ${name}, which this release does not know`,
    { key },
  );
}

/** SHA-256 of the document's canonical form, 64 hex digits. Canonical as in RFC 8785: fields sorted, no white space. */
export function documentChecksum(document: JsonObject): string {
  return createHash("sha256").update(canonicalJson(document)).digest("hex");
}

/** Equal for documents that are equal. */
export function canonicalJson(value: Json): string {
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  // Sorts by UTF-16 code units, as the RFC wants.
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name] ?? null)}`).join(",")}}`;
}

function identityOf(element: Json, identify: Identify): Json {
  if (!isObject(element)) return null;
  return identify(element) ?? canonicalJson(element);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
