/** A mirror of one repository with files of git-lfs, in memory, behind open access; see `copierRig` for how files come there. */
import { SignedBlobUrls } from "../../../lib/blob-http/signed-blob-urls.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import type { HttpHandler } from "../../../lib/http/message.ts";
import { CopyRequests, type QueueCopies } from "../../../lib/lfs-http/copy-requests.ts";
import { KnownRights } from "../../../lib/lfs-http/known-rights.ts";
import { lfsHttp } from "../../../lib/lfs-http/lfs-http.ts";
import { withLfsErrors } from "../../../lib/lfs-http/lfs-response.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import type { BlobUrls } from "../../../lib/store/blob-urls.ts";
import { utf8 } from "../byte-chunks.ts";
import { type RequestParts, readResponse, requestFor } from "../http-request.ts";
import { writeName } from "../named-repository.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../primary.ts";
import { CountingBlobStore } from "../store/counting-blob-store.ts";
import { MemoryBlobStore } from "../store/memory-blob-store.ts";
import { RIG_UUID } from "../sync-rig.ts";
import { type CopierRig, copierRig } from "./copier-rig.ts";

export const BATCH_PATH = "/acme/sample.git/info/lfs/objects/batch";

/** What the mirror says of a file. */
interface BatchEntry {
  readonly oid: string;
  readonly size: number;
  readonly authenticated?: boolean;
  readonly actions?: {
    readonly download?: { readonly href: string; readonly expires_in?: number; readonly header?: object };
  };
  readonly error?: { readonly code: number; readonly message: string };
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly json: {
    readonly transfer?: string;
    readonly objects?: readonly BatchEntry[];
    readonly message?: string;
  };
}

export interface LfsRig {
  readonly primary: Primary;
  readonly store: CountingBlobStore;
  readonly copier: CopierRig;
  /** Copies that were asked for, one text of oids a call. */
  readonly queued: string[][];
  /** Serves with nothing remembered, as after a restart. */
  restart(options?: {
    readonly push?: "redirect" | "refuse";
    readonly queue?: QueueCopies | "none";
    readonly urls?: BlobUrls;
    readonly maxTableBytes?: number;
  }): void;
  ask(target: string, parts?: RequestParts): Promise<Answered>;
  /** A batch of downloads, sizes as given. */
  download(
    objects: readonly { readonly oid: unknown; readonly size: unknown }[],
    more?: object,
  ): Promise<Answered>;
  close(): Promise<void>;
}

export const LFS_TYPE = "application/vnd.git-lfs+json";

/** @returns For each object its error's code, or what it is given. */
export function codesOf({ json: { objects } }: Answered): (number | string)[] | undefined {
  return objects?.map(({ error, actions }) => error?.code ?? (actions?.download ? "link" : "nothing"));
}

export const HOST = "mirror.example:8080";

/** @param store - By default one in memory. */
export async function startLfsRig(store = new CountingBlobStore(new MemoryBlobStore())): Promise<LfsRig> {
  const primary = await startPrimary({ make: makeEmptyRepository });
  const copier = copierRig(primary, store);
  const queued: string[][] = [];
  let handler: HttpHandler;
  const restart: LfsRig["restart"] = ({ push = "redirect", queue, urls, maxTableBytes } = {}) => {
    const catalog = new RepositoryCatalog(copier.sync.storage);
    const policy = { kind: push, gitUrl: primary.fake.gitUrl };
    const record: QueueCopies = async (_, files) => void queued.push(files.map(({ oid }) => oid));
    const lfs = lfsHttp({
      rights: new KnownRights(copier.sync.storage, SILENT_LOGGER, maxTableBytes),
      urls: urls ?? new SignedBlobUrls({ serverUrl: () => "http://127.0.0.1:1" }),
      ...(queue !== "none" && { copies: new CopyRequests(queue ?? record) }),
      fetch,
      push: policy,
      log: SILENT_LOGGER,
      agent: "nearside/test",
    });
    const git = gitHttp({
      access: async ({ repository }) => ({
        kind: "allowed",
        primaryPath:
          repository.kind === "name"
            ? `${repository.workspace}/${repository.slug}`.toLowerCase()
            : "acme/sample",
      }),
      find: (...request) => catalog.find(...request),
      lfs,
      push: policy,
      log: SILENT_LOGGER,
      agent: "nearside/test",
    });
    handler = withLfsErrors(git, { log: SILENT_LOGGER });
  };
  restart();
  await writeName(store, "acme", "sample", RIG_UUID);
  const ask: LfsRig["ask"] = async (target, parts = {}) => {
    const request = requestFor(target, { ...parts, headers: { host: HOST, ...parts.headers } });
    const { status, headers, text } = await readResponse(await handler(request));
    return { status, headers, json: JSON.parse(text || "{}") };
  };
  return {
    primary,
    store,
    copier,
    queued,
    restart,
    ask,
    download: (objects, more = {}) =>
      ask(BATCH_PATH, {
        method: "POST",
        headers: { "content-type": "application/vnd.git-lfs+json; charset=utf-8" },
        body: utf8(JSON.stringify({ operation: "download", objects, ...more })),
      }),
    async close() {
      await copier.sync.close();
      await primary.close();
    },
  };
}
