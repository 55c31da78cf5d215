/** Asks the primary which files of git-lfs it has for a repository. Source: git-lfs docs/api/batch.md. */
import * as z from "zod/mini";
import { LimitExceededError, NotFoundError, UpstreamError } from "../errors.ts";
import { readBody } from "../read-body.ts";
import { refusedAnswer } from "./refused-answer.ts";

const LFS_TYPE = "application/vnd.git-lfs+json";

export interface LfsObject {
  readonly oid: string;
  readonly sizeBytes: number;
}

const actionSchema = z.looseObject({
  href: z.string().check(z.refine((href) => /^https?:$/.test(URL.parse(href)?.protocol ?? ""))),
  header: z.nullish(z.record(z.string(), z.string())),
});

/** How to get a file, in the primary's words. */
export type LfsAction = z.infer<typeof actionSchema>;

/** To git-lfs, which is written in Go, `null` is as good as nothing. */
const entrySchema = z.looseObject({
  oid: z.string(),
  size: z.nullish(z.int().check(z.nonnegative())),
  authenticated: z.nullish(z.boolean()),
  actions: z.nullish(z.looseObject({ download: z.nullish(actionSchema) })),
  error: z.nullish(z.looseObject({ code: z.int(), message: z.nullish(z.string()) })),
});

/** One object of the primary's answer, with all its fields, known or not. */
export type LfsEntry = z.infer<typeof entrySchema>;

const batchSchema = z.object({ transfer: z.nullish(z.string()), objects: z.array(z.unknown()) });
const namedSchema = z.object({ oid: z.string() });

export interface LfsBatchOptions {
  readonly fetch: typeof fetch;
  /** Of the repository at the primary, with `.git`. */
  readonly repositoryUrl: string;
  /** The `Authorization` header to send; absent for none. */
  readonly authorization?: string | undefined;
  readonly agent: string;
  readonly signal?: AbortSignal | undefined;
}

const BATCH_TIMEOUT_MS = 20_000;
/** Of 1,000 objects with links of 2 KB. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/**
 * Asks where the files are, without Bitbucket's own adapter: its answers would be of no use to others.
 * @returns By oid, only of those asked for. One that cannot be read is an error, 503: git-lfs would reject the whole batch for it.
 * @throws {NotFoundError} No such repository, or no right to see it.
 * @throws {UpstreamError} Any other refusal, with its `status`, or no answer that can be read.
 */
export async function askLfsBatch(
  objects: readonly LfsObject[],
  options: LfsBatchOptions,
): Promise<ReadonlyMap<string, LfsEntry>> {
  const { fetch, repositoryUrl, authorization, agent, signal } = options;
  const timeout = AbortSignal.timeout(BATCH_TIMEOUT_MS);
  const body = {
    operation: "download",
    transfers: ["basic"],
    hash_algo: "sha256",
    objects: objects.map(({ oid, sizeBytes }) => ({ oid, size: sizeBytes })),
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${repositoryUrl}/info/lfs/objects/batch`, {
      method: "POST",
      headers: {
        accept: LFS_TYPE,
        "content-type": LFS_TYPE,
        "user-agent": agent,
        ...(authorization !== undefined && { authorization }),
      },
      body: JSON.stringify(body),
      // A redirected POST would arrive as a GET, or at another host with the credential.
      redirect: "error",
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    text = (await readBody(response.body, MAX_ANSWER_BYTES, "the primary's LFS answer")).toString("utf8");
  } catch (error) {
    if (error instanceof LimitExceededError || signal?.aborted) throw error;
    throw new UpstreamError("the primary cannot be asked for LFS files", { retryable: true, cause: error });
  }
  if (response.status !== 200) throw refusal(response, text);
  return readEntries(text, objects);
}

function refusal(response: Response, text: string): Error {
  const { status } = response;
  if (status === 404)
    return new NotFoundError("the primary has no LFS files for this repository", { status });
  const message = `the primary answered ${status} when asked for LFS files`;
  return refusedAnswer(message, response, { text: text.slice(0, 200) });
}

function readEntries(text: string, objects: readonly LfsObject[]): ReadonlyMap<string, LfsEntry> {
  const unreadable = (cause?: unknown): UpstreamError =>
    new UpstreamError("the primary's LFS answer cannot be read", { retryable: true, cause });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw unreadable(error);
  }
  const result = batchSchema.safeParse(json);
  if (!result.success) throw unreadable(result.error);
  const { transfer } = result.data;
  if (transfer != null && transfer !== "basic")
    throw unreadable(new Error(`transfer adapter ${transfer.slice(0, 80)}`));
  const asked = new Map(objects.map(({ oid, sizeBytes }) => [oid, sizeBytes]));
  const entries = new Map<string, LfsEntry>();
  for (const given of result.data.objects) {
    const oid = namedSchema.safeParse(given).data?.oid ?? "";
    const size = asked.get(oid);
    if (size !== undefined)
      entries.set(oid, entrySchema.safeParse(given).data ?? { oid, size, error: UNREADABLE_ENTRY });
  }
  return entries;
}

const UNREADABLE_ENTRY = { code: 503, message: "Bitbucket's answer for this file cannot be read" } as const;
