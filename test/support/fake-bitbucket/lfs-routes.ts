/**
 * The batch API of git-lfs over files at `<repository>/lfs/objects/`, where git-lfs itself keeps them. What it hands out are
 * addresses that need no credential, as Bitbucket's are on another host.
 * Source: git-lfs docs/api/batch.md.
 */
import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { type Answer, answer, type Exchange, type Fake, readJson, textAnswer } from "./exchange.ts";
import { admit } from "./git-access.ts";
import type { Json } from "./shapes.ts";

const BATCH_PATH = /^\/([^/]+)\/([^/]+)\.git\/info\/lfs\/objects\/batch$/;
const MEDIA_PATH = /^\/media\/([0-9a-f-]{36})$/;
const LFS_TYPE = "application/vnd.git-lfs+json";

const batchSchema = z.object({
  operation: z.enum(["download", "upload"]),
  objects: z.array(z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.number() })),
});

interface LfsObject {
  readonly oid: string;
  readonly size: number;
}

export class LfsRoutes {
  readonly #fake: Fake;
  /** The files behind addresses that were handed out. */
  readonly #media = new Map<string, string>();

  constructor(fake: Fake) {
    this.#fake = fake;
  }

  /** @returns Whether the request was git-lfs's. */
  async handle(exchange: Exchange): Promise<boolean> {
    const { url, request } = exchange;
    const [, workspace, slug] = BATCH_PATH.exec(url.pathname) ?? [];
    const [, token] = MEDIA_PATH.exec(url.pathname) ?? [];
    if (token !== undefined) await this.#transfer(exchange, this.#media.get(token));
    else if (workspace === undefined || slug === undefined || request.method !== "POST") return false;
    else await this.#batch(exchange, decodeURIComponent(workspace), decodeURIComponent(slug));
    return true;
  }

  async #batch(exchange: Exchange, workspace: string, slug: string): Promise<void> {
    const { operation, objects } = batchSchema.parse(await readJson(exchange.request));
    const service = operation === "upload" ? "git-receive-pack" : "git-upload-pack";
    const access = await admit(this.#fake, exchange, { workspace, slug, service });
    if ("refusal" in access) return answer(exchange, asLfs(access.refusal));
    const { folder } = access.repository;
    const described = objects.map((object) =>
      operation === "upload" ? this.#upload(folder, object) : this.#download(folder, object),
    );
    return answer(exchange, lfsAnswer(200, { transfer: "basic", objects: await Promise.all(described) }));
  }

  async #download(folder: string, { oid, size }: LfsObject): Promise<Json> {
    const file = fileOf(folder, oid);
    const isThere = await stat(file).then(
      () => true,
      () => false,
    );
    if (!isThere) return { oid, size, error: { code: 404, message: "Object does not exist" } };
    return { oid, size, authenticated: true, actions: { download: { href: this.#addressOf(file) } } };
  }

  async #upload(folder: string, { oid, size }: LfsObject): Promise<Json> {
    const href = this.#addressOf(fileOf(folder, oid));
    return { oid, size, authenticated: true, actions: { upload: { href } } };
  }

  #addressOf(file: string): string {
    const token = randomUUID();
    this.#media.set(token, file);
    return `${this.#fake.addresses.gitUrl}/media/${token}`;
  }

  async #transfer(exchange: Exchange, file: string | undefined): Promise<void> {
    const { request, response } = exchange;
    if (file === undefined) return answer(exchange, textAnswer(404, "no such file"));
    if (request.method !== "PUT") return pipeline(createReadStream(file), response);
    await mkdir(dirname(file), { recursive: true });
    await pipeline(request, createWriteStream(file));
    response.end();
  }
}

function fileOf(folder: string, oid: string): string {
  return join(folder, "lfs/objects", oid.slice(0, 2), oid.slice(2, 4), oid);
}

function asLfs({ status, headers, body }: Answer): Answer {
  const challenge = headers?.["WWW-Authenticate"];
  const more =
    challenge === undefined ? {} : { "WWW-Authenticate": challenge, "LFS-Authenticate": challenge };
  return lfsAnswer(status, { message: body.trim() }, more);
}

function lfsAnswer(status: number, value: Json, headers: Record<string, string> = {}): Answer {
  return { status, headers: { "Content-Type": LFS_TYPE, ...headers }, body: JSON.stringify(value) };
}
