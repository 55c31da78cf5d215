/**
 * The primary's git-lfs side: which files it has for a repository, and their bytes.
 * Source: git-lfs docs/api/batch.md, docs/api/basic-transfers.md.
 */
import { isIP } from "node:net";
import * as z from "zod";
import { type AddressKind, addressKind } from "../address-kind.ts";
import { LimitExceededError, NotFoundError, UpstreamError } from "../errors.ts";
import { readBody } from "../read-body.ts";
import { parseRetryAfter } from "../retry-after.ts";

const LFS_TYPE = "application/vnd.git-lfs+json";

export interface LfsObject {
  readonly oid: string;
  readonly sizeBytes: number;
}

const actionSchema = z.looseObject({
  href: z.string().refine((href) => /^https?:$/.test(URL.parse(href)?.protocol ?? "")),
  header: z.record(z.string(), z.string()).nullish(),
});

/** How to get a file, in the primary's words. */
export type LfsAction = z.infer<typeof actionSchema>;

/** To git-lfs, which is written in Go, `null` is as good as nothing. */
const entrySchema = z.looseObject({
  oid: z.string(),
  size: z.int().nonnegative().nullish(),
  authenticated: z.boolean().nullish(),
  actions: z.looseObject({ download: actionSchema.nullish() }).nullish(),
  error: z.looseObject({ code: z.int(), message: z.string().nullish() }).nullish(),
});

/** One object of the primary's answer, with all its fields, known or not. */
export type LfsEntry = z.infer<typeof entrySchema>;

const batchSchema = z.object({ transfer: z.string().nullish(), objects: z.array(z.unknown()) });
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
async function askLfsBatch(
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

function refusal({ status, headers }: Response, text: string): Error {
  if (status === 404)
    return new NotFoundError("the primary has no LFS files for this repository", { status });
  const retryAfterSeconds = parseRetryAfter(headers.get("retry-after"));
  return new UpstreamError(`the primary answered ${status} when asked for LFS files`, {
    retryable: status === 429 || status >= 500,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    status,
    text: text.slice(0, 200),
  });
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

export interface LfsDownload {
  /** Where the body begins: 0, if the storage does not send ranges. */
  readonly startBytes: number;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Gets a file from where the primary said, from `offsetBytes` on. What the action says goes there, and nothing else: the storage is
 * another host. It may redirect, but not to plain HTTP, nor into the network of this machine.
 * @throws {UpstreamError} It is refused, with its `status`, or there is no answer.
 */
async function openLfsDownload(
  action: LfsAction,
  offsetBytes: number,
  options: DownloadOptions,
): Promise<LfsDownload> {
  let response: Response;
  try {
    const range = offsetBytes > 0 ? { range: `bytes=${offsetBytes}-` } : {};
    response = await followRedirects(action, { "accept-encoding": "identity", ...range }, options);
  } catch (error) {
    if (error instanceof UpstreamError || options.signal.aborted) throw error;
    throw new UpstreamError("the storage of LFS files cannot be reached", { retryable: true, cause: error });
  }
  const { status, headers, body } = response;
  const [, start] = /^bytes (\d+)-/.exec(headers.get("content-range") ?? "") ?? [];
  const startBytes = status === 206 ? Number(start) : 0;
  if ((status !== 200 && status !== 206) || (status === 206 && startBytes !== offsetBytes) || body === null) {
    await body?.cancel().catch(() => undefined);
    const retryAfterSeconds = parseRetryAfter(headers.get("retry-after"));
    throw new UpstreamError(`the storage of LFS files answered ${status}`, {
      retryable: true,
      ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
      status,
    });
  }
  return { startBytes, body };
}

interface DownloadOptions extends Pick<LfsBatchOptions, "fetch" | "repositoryUrl"> {
  readonly signal: AbortSignal;
}

const MAX_REDIRECTS = 5;

async function followRedirects(
  action: LfsAction,
  ownHeaders: Readonly<Record<string, string>>,
  { fetch, repositoryUrl, signal }: DownloadOptions,
): Promise<Response> {
  const primary = new URL(repositoryUrl);
  let { header } = action;
  let from = primary;
  let url = new URL(action.href);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    assertMayFollow(url, from, primary);
    const response = await fetch(url, {
      headers: { ...header, ...ownHeaders },
      redirect: "manual",
      signal,
    });
    const location = [301, 302, 303, 307, 308].includes(response.status) && response.headers.get("location");
    const target = location ? URL.parse(location, url.href) : null;
    if (target === null) return response;
    await response.body?.cancel();
    // What the primary says goes to the host that it names. It may be a credential.
    if (target.origin !== url.origin) header = undefined;
    from = url;
    url = target;
  }
  throw new UpstreamError("the storage of LFS files redirects too often", { retryable: true });
}

/** Names are not resolved: of what is fetched only bytes that have the oid are stored. */
function assertMayFollow(url: URL, from: URL, primary: URL): void {
  const kind = hostKind(url);
  const isInside = kind !== "public" && (kind === "forbidden" || hostKind(primary) === "public");
  const isHttp = url.protocol === "https:" || (url.protocol === "http:" && from.protocol === "http:");
  if (isInside || !isHttp)
    throw new UpstreamError("an LFS file is said to be where it is not fetched from", {
      retryable: false,
      url: url.origin,
    });
}

function hostKind({ hostname }: URL): AddressKind {
  if (/(?:^|\.)localhost$/.test(hostname)) return "loopback";
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return isIP(host) === 0 ? "public" : addressKind(host);
}

/** Both for one repository of the primary. */
export function lfsClient(options: Omit<LfsBatchOptions, "signal">): {
  ask(objects: readonly LfsObject[], signal: AbortSignal): Promise<ReadonlyMap<string, LfsEntry>>;
  open(action: LfsAction, offsetBytes: number, signal: AbortSignal): Promise<LfsDownload>;
} {
  return {
    ask: (objects, signal) => askLfsBatch(objects, { ...options, signal }),
    open: (action, offsetBytes, signal) => openLfsDownload(action, offsetBytes, { ...options, signal }),
  };
}
