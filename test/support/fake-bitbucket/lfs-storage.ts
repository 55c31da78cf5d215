/**
 * The storage of git-lfs files, on a port of its own as Bitbucket's is on another host: links that need no credential and
 * expire, ranges, uploads whose bytes are checked, and the faults of `LfsControls`.
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";
import { cutAfter } from "./git-backend.ts";
import type { LfsControls, LfsFaults } from "./lfs-controls.ts";

interface Link {
  readonly file: string;
  readonly oid: string;
  readonly kind: "download" | "upload";
  readonly expiresAtMs: number;
}

export interface LfsAction {
  readonly href: string;
  readonly header: Readonly<Record<string, string>>;
  readonly expires_in?: number;
}

/** Sent with each link, and wanted back: a client has to pass on an action's headers. */
const LINK_HEADER = "x-fake-media-client";

export class LfsStorage {
  readonly #controls: LfsControls;
  readonly #server: Server;
  readonly #links = new Map<string, Link>();
  #url = "";

  constructor(controls: LfsControls) {
    this.#controls = controls;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        if (response.headersSent || response.destroyed) response.destroy();
        else response.writeHead(500).end(String(error));
      });
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((done, fail) => {
      this.#server.once("error", fail);
      this.#server.listen(0, "127.0.0.1", done);
    });
    this.#url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The path of a repository's file: where git-lfs itself keeps it. */
  fileOf(folder: string, oid: string): string {
    return join(folder, "lfs/objects", oid.slice(0, 2), oid.slice(2, 4), oid);
  }

  /** @returns `undefined` if there is none. */
  async sizeOf(folder: string, oid: string): Promise<number | undefined> {
    return stat(this.fileOf(folder, oid)).then(
      ({ size }) => size,
      () => undefined,
    );
  }

  action(kind: Link["kind"], folder: string, oid: string): LfsAction {
    const token = randomUUID();
    const { linkSeconds, saysExpiry } = this.#controls.faults;
    const expiresAtMs = Date.now() + linkSeconds * 1000;
    this.#links.set(token, { kind, oid, file: this.fileOf(folder, oid), expiresAtMs });
    return {
      href: `${this.#url}/file/${token}?client=fake`,
      header: { [LINK_HEADER]: token.slice(0, 8) },
      ...(saysExpiry && { expires_in: linkSeconds }),
    };
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, token = ""] = /^\/file\/([0-9a-f-]{36})\?client=fake$/.exec(request.url ?? "") ?? [];
    const link = this.#links.get(token);
    const { method = "GET", headers } = request;
    const record = { method, oid: link?.oid ?? "", range: headers.range, headers, status: 0 };
    this.#controls.transfers.push(record);
    response.on("close", () => {
      record.status = response.statusCode;
    });
    const faults = this.#controls.takeTransferFaults();
    const refusal = refusalOf(link, request, faults, token);
    if (refusal !== undefined || link === undefined) {
      request.resume();
      response.writeHead(refusal ?? 404, { "content-type": "text/plain" }).end("refused\n");
    } else if (link.kind === "upload") await receive(request, response, link);
    else await send(request, response, link, faults);
  }
}

function refusalOf(
  link: Link | undefined,
  { method, headers }: IncomingMessage,
  { storageStatus }: LfsFaults,
  token: string,
): number | undefined {
  if (storageStatus !== null) return storageStatus;
  if (link === undefined) return 404;
  // Storages refuse what is authorized twice.
  if (headers.authorization !== undefined) return 400;
  if (link.expiresAtMs < Date.now() || headers[LINK_HEADER] !== token.slice(0, 8)) return 403;
  const methods = link.kind === "upload" ? ["PUT"] : ["GET", "HEAD"];
  return methods.includes(method ?? "") ? undefined : 405;
}

async function receive(request: IncomingMessage, response: ServerResponse, { file, oid }: Link) {
  await mkdir(dirname(file), { recursive: true });
  const incoming = `${file}.${randomUUID()}`;
  const sha256 = createHash("sha256");
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sha256.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(request, hashing, createWriteStream(incoming));
  if (sha256.digest("hex") === oid) {
    await rename(incoming, file);
    response.writeHead(200).end();
  } else {
    await rm(incoming);
    response.writeHead(422).end("other bytes than announced\n");
  }
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  { file }: Link,
  faults: LfsFaults,
): Promise<void> {
  const size = await stat(file).then(
    (stats) => stats.size,
    () => undefined,
  );
  if (size === undefined) {
    response.writeHead(404).end("gone\n");
    return;
  }
  const [, first] = /^bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
  const [, last] = /^bytes=\d+-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const isRange = first !== undefined && !faults.ignoresRanges;
  const start = isRange ? Number(first) : 0;
  const end = isRange && last !== undefined ? Math.min(size, Number(last) + 1) : size;
  if (isRange && start >= size) {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
    return;
  }
  response.writeHead(isRange ? 206 : 200, {
    "content-type": "application/octet-stream",
    "content-length": end - start,
    ...(isRange && { "content-range": `bytes ${start}-${end - 1}/${size}` }),
  });
  if (request.method === "HEAD" || size === 0) {
    response.end();
    return;
  }
  const bytes = createReadStream(file, { start, end: end - 1, highWaterMark: 256 * 1024 });
  await pipeline(cutAfter(Readable.from(spoiled(bytes, faults)), faults.cutAfterBytes), response);
}

async function* spoiled(
  chunks: AsyncIterable<Buffer>,
  { wrongBytes, bytesPerSecond }: LfsFaults,
): AsyncGenerator<Buffer, void, undefined> {
  let isFirst = true;
  for await (const chunk of chunks) {
    if (isFirst && wrongBytes) chunk[0] = (chunk[0] as number) ^ 0xff;
    isFirst = false;
    if (bytesPerSecond === null) {
      yield chunk;
      continue;
    }
    // In steps of a tenth of a second.
    const step = Math.max(1, Math.ceil(bytesPerSecond / 10));
    for (let at = 0; at < chunk.length; at += step) {
      await pause(100);
      yield chunk.subarray(at, at + step);
    }
  }
}
