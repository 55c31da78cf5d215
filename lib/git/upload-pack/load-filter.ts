/** Makes a filter ready for the walk: sparse patterns are read out of the repository. */
import type { RefList, UploadPackSource } from "../ports.ts";
import type { ObjectFilter } from "../walk/object-filter.ts";
import { findUnreachable } from "../walk/reachable.ts";
import { parseSparsePatterns, type SparsePatterns } from "../walk/sparse-patterns.ts";
import type { FilterSpec } from "./filter-spec.ts";
import { RefusedRequestError } from "./refused-request.ts";
import { findRevision } from "./revision.ts";

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
  const id = await findRevision(objects, refList, name);
  if (id === undefined) throw refusal;
  if (source.mayHoldUnreachable && (await findUnreachable(objects, refList, [id])).size > 0) throw refusal;
  const objectNumber = objects.findId(id);
  if ((await objects.readType(objectNumber)) !== "blob") throw refusal;
  if ((await objects.readSize(objectNumber)) > MAX_SPARSE_BYTES)
    throw new RefusedRequestError(`sparse blob in '${name}' is larger than ${MAX_SPARSE_BYTES} bytes`);
  return parseSparsePatterns((await objects.read(objectNumber)).bytes);
}
