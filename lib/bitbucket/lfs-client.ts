/**
 * The primary's git-lfs side: which files it has for a repository, and their bytes.
 * Source: git-lfs docs/api/basic-transfers.md.
 */
import { isIP } from "node:net";
import { type AddressKind, addressKind } from "../address-kind.ts";
import { UpstreamError } from "../errors.ts";
import { parseRetryAfter } from "../retry-after.ts";
import {
  askLfsBatch,
  type LfsAction,
  type LfsBatchOptions,
  type LfsEntry,
  type LfsObject,
} from "./lfs-batch.ts";

export interface LfsDownload {
  /** Where the body begins: 0, if the storage does not send ranges. */
  readonly startBytes: number;
  /** Each chunk is valid until the next is asked for. */
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
  return { startBytes, body: freedChunks(body) };
}

/** Frees each chunk after its use: the collector would let some 64 MB of them add up. */
async function* freedChunks(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    yield chunk;
    chunk.buffer.transfer(0);
  }
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

/** Host names are not resolved. The copier stores only bytes whose SHA-256 is the oid. */
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
