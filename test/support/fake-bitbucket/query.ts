/** Bitbucket's `q`, `sort`, `pagelen` and `page`: the part of it that is used here. */
import type { Json } from "./shapes.ts";

/** Answered with 400. */
export class BadQueryError extends Error {
  override readonly name = "BadQueryError";
}

type Filter = (value: Json) => boolean;

const CONDITION = /^\s*([a-z_.]+)\s*(!=|>=|<=|!~|=|>|<|~)\s*(?:"((?:[^"\\]|\\.)*)"|([\w.:+-]+))\s*$/i;
const DEFAULT_PAGE_LENGTH = 10;
const MAX_PAGE_LENGTH = 100;

/**
 * Conditions joined by AND; no OR, no parentheses.
 * @throws {BadQueryError}
 */
export function parseQuery(query: string): Filter {
  const filters = query.split(/\sAND\s/i).map(parseCondition);
  return (value) => filters.every((filter) => filter(value));
}

function parseCondition(text: string): Filter {
  const [, field, operator, quoted, bare] = CONDITION.exec(text) ?? [];
  if (field === undefined || operator === undefined) throw new BadQueryError(`Invalid query: ${text}`);
  const wanted = quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "";
  return (value) => compare(fieldAt(value, field), operator, wanted);
}

function compare(actual: Json | undefined, operator: string, wanted: string): boolean {
  if (actual === undefined) throw new BadQueryError("Invalid field in query");
  if (operator === "=") return String(actual) === wanted;
  if (operator === "!=") return String(actual) !== wanted;
  const contains = String(actual).toLowerCase().includes(wanted.toLowerCase());
  if (operator === "~") return contains;
  if (operator === "!~") return !contains;
  const order = compareValues(actual, wanted);
  if (operator === ">") return order > 0;
  if (operator === ">=") return order >= 0;
  return operator === "<" ? order < 0 : order <= 0;
}

/** Times are compared as such, whatever their zone and precision. */
function compareValues(a: Json, b: Json): number {
  if (typeof a === "number") return a - Number(b);
  const [timeA, timeB] = [Date.parse(String(a)), Date.parse(String(b))];
  if (!Number.isNaN(timeA) && !Number.isNaN(timeB)) return timeA - timeB;
  return String(a).localeCompare(String(b), "en");
}

function fieldAt(value: Json, field: string): Json | undefined {
  let at: Json | undefined = value;
  for (const name of field.split(".")) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return undefined;
    at = (at as { readonly [key: string]: Json })[name];
  }
  return at;
}

/**
 * @param sort - A field, with `-` before it for the greatest first.
 * @throws {BadQueryError}
 */
export function sorted<T extends Json>(values: readonly T[], sort: string | null): T[] {
  if (sort === null) return [...values];
  const descending = sort.startsWith("-");
  const field = sort.replace(/^-/, "");
  return values.toSorted((a, b) => {
    const [valueA, valueB] = [fieldAt(a, field), fieldAt(b, field)];
    if (valueA === undefined || valueB === undefined) throw new BadQueryError(`Invalid sort field: ${field}`);
    return descending ? compareValues(valueB, valueA) : compareValues(valueA, valueB);
  });
}

export interface Page {
  readonly [key: string]: Json;
  readonly values: readonly Json[];
}

/**
 * One page of a list. `next` holds a token that says nothing to a client.
 * @param url - The request's.
 * @param isUnstable - Whether a page begins with the last entry of the one before, in place of its own first one.
 * @throws {BadQueryError}
 */
export function pageOf(values: readonly Json[], url: URL, isUnstable = false): Page {
  const pageLength = Number(url.searchParams.get("pagelen") ?? DEFAULT_PAGE_LENGTH);
  if (!Number.isInteger(pageLength) || pageLength < 1 || pageLength > MAX_PAGE_LENGTH) {
    throw new BadQueryError("Invalid pagelen");
  }
  const start = decodePageToken(url.searchParams.get("page"));
  const end = start + pageLength;
  const whole = values.slice(start, end);
  const before = values[start - 1];
  const repeats = isUnstable && before !== undefined && whole.length > 0;
  const page = { values: repeats ? [before, ...whole.slice(1)] : whole, pagelen: pageLength };
  if (end >= values.length) return page;
  const next = new URL(url);
  next.searchParams.set("page", encodePageToken(end));
  return { ...page, next: next.href };
}

function encodePageToken(offset: number): string {
  return Buffer.from(`after:${offset}`).toString("base64url");
}

function decodePageToken(token: string | null): number {
  if (token === null) return 0;
  const [, offset] = /^after:(\d+)$/.exec(Buffer.from(token, "base64url").toString("latin1")) ?? [];
  if (offset === undefined) throw new BadQueryError("Invalid page");
  return Number(offset);
}
