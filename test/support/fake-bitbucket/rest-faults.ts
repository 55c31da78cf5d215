/** How REST's repositories and lists of them can be odd: each form was seen at Bitbucket, or is allowed by its public document. */
import * as z from "zod";
import { BadQueryError, pageOf } from "./query.ts";
import type { Json, RepositoryShape } from "./shapes.ts";

export const REST_FAULTS = {
  /** Lists are empty, as for an account that has lost its rights. */
  emptyLists: z.boolean(),
  /** By slug, in lists: null in place of the repository, or properties in place of its own; `"(absent)"` takes one away. */
  oddEntries: z.record(z.string(), z.union([z.null(), z.record(z.string(), z.json())])),
  /** Of a repository, only what the mirror cannot do without: the document calls everything else optional. */
  omitsOptional: z.boolean(),
  /** Each page but the first begins with the last entry of the one before, in place of its own first one. */
  unstablePages: z.boolean(),
  /** The last page's `next`: `null`, or the address of the first page. */
  lastNext: z.enum(["absent", "null", "first page"]),
  /** 403, not 404, for a repository that the caller may not read. */
  forbidsVisibly: z.boolean(),
  /** 429 with a line of text, not JSON. */
  rateLimitAsText: z.boolean(),
} as const;

export type RestFaults = z.infer<z.ZodObject<typeof REST_FAULTS>>;

export const NO_REST_FAULTS: RestFaults = {
  emptyLists: false,
  oddEntries: {},
  omitsOptional: false,
  unstablePages: false,
  lastNext: "absent",
  forbidsVisibly: false,
  rateLimitAsText: false,
};

const NEEDED = ["type", "uuid", "slug", "full_name", "is_private"];
const ABSENT = "(absent)";

/** What `fields` leaves of a repository as the faults make it. @throws {BadQueryError} */
export function repositoryAnswerOf(shape: RepositoryShape, url: URL, faults: RestFaults): Json {
  return selected(reduced(shape, faults), shape, url);
}

/** @param shapes - In order, and matching the query. @throws {BadQueryError} */
export function repositoryPageOf(shapes: readonly RepositoryShape[], url: URL, faults: RestFaults): Json {
  const entries = faults.emptyLists ? [] : shapes.map((shape) => oddEntry(shape, faults));
  const page = pageOf(entries, url, faults.unstablePages);
  const { next } = page;
  const first = new URL(url);
  first.searchParams.delete("page");
  const last = { absent: {}, null: { next: null }, "first page": { next: first.href } }[faults.lastNext];
  const whole = { ...page, ...(next === undefined && last) };
  const example = { ...whole, next: first.href, values: shapes.slice(0, 1) };
  return selected(whole, example, url);
}

function oddEntry(shape: RepositoryShape, faults: RestFaults): Json {
  const odd = faults.oddEntries[shape.slug];
  if (odd === null) return null;
  const entries = Object.entries({ ...reduced(shape, faults), ...odd });
  return Object.fromEntries(entries.filter(([, value]) => value !== ABSENT));
}

function reduced(shape: RepositoryShape, { omitsOptional }: RestFaults): { readonly [key: string]: Json } {
  if (!omitsOptional) return shape;
  return Object.fromEntries(Object.entries(shape).filter(([name]) => NEEDED.includes(name)));
}

/**
 * A partial response, of plain paths: `next,values.slug`.
 * @param example - The same as Bitbucket has it. A path that it does not have is a mistake: Bitbucket would leave it out silently.
 */
function selected(value: Json, example: Json, url: URL): Json {
  const fields = url.searchParams.get("fields");
  if (fields === null) return value;
  const paths = fields.split(",").map((path) => path.split("."));
  for (const path of paths)
    if (!hasPath(example, path)) throw new BadQueryError(`Invalid field: ${path.join(".")}`);
  return only(value, paths);
}

function hasPath(example: Json, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return true;
  if (Array.isArray(example)) return example.length === 0 || hasPath(example[0], [name, ...rest]);
  // Of null nothing is known: the main branch of an empty repository, say.
  if (example === null) return true;
  if (typeof example !== "object" || !Object.hasOwn(example, name)) return false;
  return hasPath((example as { readonly [key: string]: Json })[name] ?? null, rest);
}

function only(value: Json, paths: readonly (readonly string[])[]): Json {
  if (Array.isArray(value)) return value.map((one: Json) => only(one, paths));
  if (typeof value !== "object" || value === null || paths.some((path) => path.length === 0)) return value;
  const kept = Object.entries(value).flatMap(([name, inner]) => {
    const below = paths.filter(([first]) => first === name).map((path) => path.slice(1));
    return below.length === 0 ? [] : [[name, only(inner as Json, below)] as const];
  });
  return Object.fromEntries(kept);
}
