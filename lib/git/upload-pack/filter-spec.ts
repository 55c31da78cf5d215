/** Reads a filter as clients write it: `blob:none`, `tree:0`, `combine:…`. Source: git-rev-list(1), "--filter". */
import { byteText } from "../byte-text.ts";
import { isObjectType } from "../pack/pack-format.ts";
import type { RefList, UploadPackSource } from "../ports.ts";
import { ALL_TYPES, type ObjectFilter } from "../walk/object-filter.ts";
import { parseSparsePatterns, type SparsePatterns } from "../walk/sparse-patterns.ts";
import { RefusedRequestError } from "./refused-request.ts";
import { findRevision } from "./revision.ts";

/** A filter whose sparse patterns have not been read yet. */
export interface FilterSpec extends Omit<ObjectFilter, "sparse"> {
  /** As `sparse:oid=` names them: an object id or `<revision>:<path>`. */
  readonly sparseNames: readonly string[];
}

/** There are five kinds, and one of each says all that can be said. */
const MAX_COMBINED_FILTERS = 20;
/** Percent-encoding makes a nested filter longer at each level; clients do not nest deeply. */
const MAX_COMBINE_DEPTH = 4;
/** Each one is held against every path. */
const MAX_SPARSE_NAMES = 3;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const MUST_BE_ESCAPED = /[\u0000-\u0020~`!@#$^&*()[\]{}\\;'",<>?]/;

const NO_FILTER: FilterSpec = {
  types: ALL_TYPES,
  maxDepth: Number.POSITIVE_INFINITY,
  maxBlobBytes: Number.POSITIVE_INFINITY,
  sparseNames: [],
};

/** @throws {RefusedRequestError} Not a filter, or one that costs too much. */
export function parseFilterSpec(text: string): FilterSpec {
  const parts = simpleFilters(text, 0);
  if (parts.length > MAX_COMBINED_FILTERS)
    throw new RefusedRequestError(`filter combines more than ${MAX_COMBINED_FILTERS} filters`);
  const spec = parts.map(parseSimpleFilter).reduce(intersection, NO_FILTER);
  if (spec.sparseNames.length > MAX_SPARSE_NAMES)
    throw new RefusedRequestError(`filter combines more than ${MAX_SPARSE_NAMES} sparse filters`);
  return spec;
}

/** @returns The filters that `text` combines, nested ones included. */
function simpleFilters(text: string, depth: number): string[] {
  if (!text.startsWith("combine:")) return [text];
  if (depth === MAX_COMBINE_DEPTH)
    throw new RefusedRequestError(`filter is nested more than ${MAX_COMBINE_DEPTH} times`);
  const list = text.slice("combine:".length);
  if (list === "") throw new RefusedRequestError("expected something after combine:");
  const parts = list.split("+").filter((part) => part !== "");
  return parts.flatMap((part) => {
    const reserved = MUST_BE_ESCAPED.exec(part)?.[0];
    if (reserved !== undefined)
      throw new RefusedRequestError(`must escape char in sub-filter-spec: '${reserved}'`);
    return simpleFilters(percentDecoded(part), depth + 1);
  });
}

/** Percent signs that are not followed by two digits stand for themselves, as in git. */
function percentDecoded(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (encoded) => {
    const bytes = encoded
      .slice(1)
      .split("%")
      .map((digits) => Number.parseInt(digits, 16));
    return byteText(Uint8Array.from(bytes));
  });
}

function parseSimpleFilter(text: string): FilterSpec {
  if (text === "blob:none") return { ...NO_FILTER, maxBlobBytes: 0 };
  const [kind, value] = splitAfter(text, ["blob:limit=", "tree:", "object:type=", "sparse:oid="]);
  if (kind === "blob:limit=") {
    const maxBlobBytes = parseScaled(value);
    if (maxBlobBytes !== undefined) return { ...NO_FILTER, maxBlobBytes };
  } else if (kind === "tree:") {
    const maxDepth = parseScaled(value);
    if (maxDepth === undefined) throw new RefusedRequestError("expected 'tree:<depth>'");
    return { ...NO_FILTER, maxDepth };
  } else if (kind === "object:type=") {
    if (!isObjectType(value))
      throw new RefusedRequestError(`'${value}' for 'object:type=<type>' is not a valid object type`);
    return { ...NO_FILTER, types: new Set([value]) };
  } else if (kind === "sparse:oid=") {
    return { ...NO_FILTER, sparseNames: [value] };
  }
  if (text.startsWith("sparse:path="))
    throw new RefusedRequestError("sparse:path filters support has been dropped");
  throw new RefusedRequestError(`invalid filter-spec '${text}'`);
}

function splitAfter(text: string, prefixes: readonly string[]): readonly [string | undefined, string] {
  const prefix = prefixes.find((candidate) => text.startsWith(candidate));
  return [prefix, text.slice(prefix?.length ?? 0)];
}

const SCALES: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["k", 2 ** 10],
  ["m", 2 ** 20],
  ["g", 2 ** 30],
]);

/** A number as git's configuration has it: `512`, `10k`. */
function parseScaled(text: string): number | undefined {
  const [, digits = "", unit = ""] = /^(\d{1,16})([kmg]?)$/i.exec(text) ?? [];
  const scale = SCALES.get(unit.toLowerCase());
  return digits === "" || scale === undefined ? undefined : Number(digits) * scale;
}

function intersection(a: FilterSpec, b: FilterSpec): FilterSpec {
  return {
    types: new Set([...a.types].filter((type) => b.types.has(type))),
    maxDepth: Math.min(a.maxDepth, b.maxDepth),
    maxBlobBytes: Math.min(a.maxBlobBytes, b.maxBlobBytes),
    sparseNames: [...a.sparseNames, ...b.sparseNames],
  };
}

/** A thousand patterns of a kilobyte. */
const MAX_SPARSE_BYTES = 1024 * 1024;

/** @throws {RefusedRequestError} A sparse file is not there. @throws {LimitExceededError} It is too large. */
export async function loadFilter(
  source: UploadPackSource,
  refList: RefList,
  { sparseNames, ...spec }: FilterSpec,
): Promise<ObjectFilter> {
  const sparse: SparsePatterns[] = [];
  for (const name of sparseNames) sparse.push(await readSparsePatterns(source, refList, name));
  return { ...spec, sparse };
}

async function readSparsePatterns(
  source: UploadPackSource,
  refList: RefList,
  name: string,
): Promise<SparsePatterns> {
  const refusal = new RefusedRequestError(`unable to access sparse blob in '${name}'`);
  const objects = await source.openObjects();
  const id = await findRevision(objects, refList, name, source.mayHoldUnreachable);
  if (id === undefined) throw refusal;
  const objectNumber = objects.findId(id);
  if ((await objects.readType(objectNumber)) !== "blob")
    throw new RefusedRequestError(`unable to parse sparse filter data in ${id}`);
  if ((await objects.readSize(objectNumber)) > MAX_SPARSE_BYTES)
    throw new RefusedRequestError(`sparse blob in '${name}' is larger than ${MAX_SPARSE_BYTES} bytes`);
  return parseSparsePatterns((await objects.read(objectNumber)).bytes, objects.slices);
}
