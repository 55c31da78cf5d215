/** Reads a request of the batch API. Source: git-lfs docs/api/batch.md. */
import * as z from "zod/mini";
import { LimitExceededError, ProtocolError } from "../errors.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { readBody } from "../read-body.ts";
import { LFS_TYPE, lfsError } from "./lfs-response.ts";

export interface LfsBatch {
  readonly operation: "download" | "upload";
  /** `sha256` unless the client says otherwise. */
  readonly hashAlgorithm: string;
  /** Each oid once, in the order of the request. */
  readonly objects: readonly AskedObject[];
}

export interface AskedObject {
  /** As it was sent. */
  readonly oid: string;
  /** `undefined` where oid or size are none. */
  readonly sizeBytes: number | undefined;
}

/** git-lfs sends 100 unless it is set up otherwise; a set-up with more than this gains nothing. */
const MAX_OBJECTS = 1_000;
/** Of so many objects some 110 KB; clients may indent. */
const MAX_BODY_BYTES = 256 * 1024;

const objectsSchema = z.array(z.object({ oid: z.string(), size: z.optional(z.unknown()) }));
const batchSchema = z.object({
  operation: z.enum(["download", "upload"]),
  hash_algo: z.nullish(z.string()),
  // Counted before each is looked at: zod makes an issue of each that is wrong.
  objects: z.array(z.unknown()),
});

const OID = /^[0-9a-f]{64}$/;
/** More than the document asks for: clients other than git-lfs say `application/json`, or anything. */
const ACCEPTED = /(?:^|[\s,])(?:application\/(?:vnd\.git-lfs\+json|json|\*)|\*\/\*)(?:[\s,;]|$)/i;

/** @returns What to answer, if it is no such request. */
export async function readLfsBatch(request: HttpRequest): Promise<LfsBatch | HttpResponse> {
  if (!ACCEPTED.test(request.headers["accept"] ?? LFS_TYPE))
    return lfsError(406, `the Accept header needs to be ${LFS_TYPE}`);
  if ((request.headers["content-encoding"] ?? "identity") !== "identity")
    return lfsError(415, "unsupported content encoding, use none");
  let json: unknown;
  try {
    json = JSON.parse(await readText(request));
  } catch (error) {
    if (error instanceof LimitExceededError) return lfsError(413, error.message);
    if (error instanceof SyntaxError || error instanceof ProtocolError)
      return lfsError(400, "the request is not JSON");
    throw error;
  }
  const { data, error } = z.safeParse(batchSchema, json);
  if (data === undefined) return lfsError(422, `not a batch request: ${describe(error)}`);
  if (data.objects.length > MAX_OBJECTS)
    return lfsError(413, `at most ${MAX_OBJECTS} objects in a batch: git config lfs.transfer.batchSize 100`);
  const asked = z.safeParse(z.object({ objects: objectsSchema }), data);
  if (asked.data === undefined) return lfsError(422, `not a batch request: ${describe(asked.error)}`);
  const objects = new Map<string, AskedObject>();
  for (const { oid, size } of asked.data.objects) {
    if (objects.has(oid)) continue;
    const isValid = OID.test(oid) && typeof size === "number" && Number.isSafeInteger(size) && size >= 0;
    objects.set(oid, { oid, sizeBytes: isValid ? size : undefined });
  }
  return {
    operation: data.operation,
    hashAlgorithm: data.hash_algo ?? "sha256",
    objects: [...objects.values()],
  };
}

/** @throws {LimitExceededError} @throws {ProtocolError} Not UTF-8. */
async function readText({ body }: HttpRequest): Promise<string> {
  const bytes = await readBody(body, MAX_BODY_BYTES, "a batch request");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ProtocolError("not UTF-8", { cause: error });
  }
}

function describe({ issues: [issue] }: z.core.$ZodError): string {
  const place = issue?.path.join(".") ?? "";
  return place === "" ? "it is no object" : `${place} is missing or wrong`;
}
