/**
 * The batch API of git-lfs, and locks where these are switched on. Files are at `<repository>/lfs/objects/`, where git-lfs itself
 * keeps them, and go through `LfsStorage`. A client that knows Bitbucket's own adapter is given that one, as Bitbucket does.
 * Source: git-lfs docs/api/batch.md, docs/api/locking.md.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import * as z from "zod";
import { type Answer, answer, type Exchange, type Fake, readJson } from "./exchange.ts";
import { admit } from "./git-access.ts";
import type { LfsBatchRecord } from "./lfs-controls.ts";
import type { Json } from "./shapes.ts";

const LFS_PATH = /^\/([^/]+)\/([^/]+)\.git\/info\/lfs\/(objects\/batch|objects\/verify|locks(?:\/.+)?)$/;
const LFS_TYPE = "application/vnd.git-lfs+json";
const MEDIA_ADAPTER = "bitbucket-media-api";

const batchSchema = z.object({
  operation: z.enum(["download", "upload"]),
  transfers: z.array(z.string()).default(["basic"]),
  objects: z.array(z.object({ oid: z.string(), size: z.number() })),
});
type LfsBatch = z.infer<typeof batchSchema>;

interface Lock {
  readonly id: string;
  readonly path: string;
  readonly owner: string;
}

export class LfsRoutes {
  readonly #fake: Fake;
  /** By repository folder. */
  readonly #locks = new Map<string, Lock[]>();

  constructor(fake: Fake) {
    this.#fake = fake;
  }

  /** @returns Whether the request was git-lfs's. */
  async handle(exchange: Exchange): Promise<boolean> {
    const [, workspace, slug, endpoint] = LFS_PATH.exec(exchange.url.pathname) ?? [];
    if (workspace === undefined || slug === undefined || endpoint === undefined) return false;
    const place = { workspace: decodeURIComponent(workspace), slug: decodeURIComponent(slug) };
    if (endpoint === "objects/batch") await this.#batch(exchange, place);
    else if (endpoint === "objects/verify") await this.#verify(exchange, place);
    else await this.#lock(exchange, place, endpoint);
    return true;
  }

  async #batch(
    exchange: Exchange,
    place: { readonly workspace: string; readonly slug: string },
  ): Promise<void> {
    const { lfs } = this.#fake;
    const parsed = batchSchema.safeParse(await readJson(exchange.request));
    if (!parsed.success) return answer(exchange, lfsAnswer(422, { message: "Invalid batch" }));
    const { operation, transfers, objects } = parsed.data;
    const repository = `${place.workspace}/${place.slug}`;
    const record: LfsBatchRecord = { repository, operation, transfers, oids: objects.map(({ oid }) => oid) };
    lfs.controls.batches.push(record);
    const { batchDelayMs, batchStatus, batchRetryAfterSeconds } = lfs.controls.faults;
    await pause(batchDelayMs);
    const reply = async (given: Answer): Promise<void> => {
      record.status = given.status;
      await answer(exchange, given);
    };
    if (batchStatus !== null) {
      const retryAfter = batchRetryAfterSeconds !== null && { "Retry-After": String(batchRetryAfterSeconds) };
      return reply(lfsAnswer(batchStatus, { message: "The fake is set to fail" }, { ...retryAfter }));
    }
    const service = operation === "upload" ? "git-receive-pack" : "git-upload-pack";
    const access = await admit(this.#fake, exchange, { ...place, service });
    if ("refusal" in access) return reply(asLfs(access.refusal));
    if (access.caller !== undefined) record.caller = access.caller.name;
    const { host, authorization } = exchange.request.headers;
    // With `authenticated`, git-lfs adds no credential by itself.
    const verify = {
      href: `http://${host}${exchange.url.pathname.replace(/batch$/, "verify")}`,
      ...(authorization !== undefined && { header: { authorization } }),
    };
    return reply(lfsAnswer(200, await this.#answerBatch(access.repository.folder, parsed.data, verify)));
  }

  async #verify(
    exchange: Exchange,
    place: { readonly workspace: string; readonly slug: string },
  ): Promise<void> {
    const { oid, size } = z
      .object({ oid: z.string(), size: z.number() })
      .parse(await readJson(exchange.request));
    const access = await admit(this.#fake, exchange, { ...place, service: "git-receive-pack" });
    if ("refusal" in access) return answer(exchange, asLfs(access.refusal));
    const { controls, storage } = this.#fake.lfs;
    const isThere = (await storage.sizeOf(access.repository.folder, oid)) === size;
    if (isThere) controls.verified.push(oid);
    return answer(
      exchange,
      isThere ? lfsAnswer(200, {}) : lfsAnswer(404, { message: "Object does not exist" }),
    );
  }

  async #answerBatch(
    folder: string,
    { operation, transfers, objects }: LfsBatch,
    verify: Json,
  ): Promise<Json> {
    const { leftOut } = this.#fake.lfs.controls.faults;
    const named = objects.filter(({ oid }) => !leftOut.includes(oid));
    const described = named.map((object) => this.#describe(folder, operation, object, verify));
    const transfer = transfers.includes(MEDIA_ADAPTER) ? MEDIA_ADAPTER : "basic";
    return { transfer, objects: await Promise.all(described) };
  }

  async #describe(
    folder: string,
    operation: "download" | "upload",
    { oid, size }: LfsBatch["objects"][number],
    verify: Json,
  ): Promise<Json> {
    const { controls, storage } = this.#fake.lfs;
    const error = controls.faults.objectErrors[oid];
    if (error !== undefined) return { oid, size, error };
    if (!/^[0-9a-f]{64}$/.test(oid)) return { oid, size, error: { code: 422, message: "Invalid oid" } };
    const storedSize = await storage.sizeOf(folder, oid);
    if (operation === "download" && storedSize === undefined)
      return { oid, size, error: { code: 404, message: "Object does not exist" } };
    // What is there already need not be uploaded.
    if (operation === "upload" && storedSize !== undefined) return { oid, size };
    const action = { ...storage.action(operation, folder, oid) } as Json;
    const isVerified = operation === "upload" && controls.faults.verifies;
    const actions = { [operation]: action, ...(isVerified && { verify }) };
    const entry = { oid, size: storedSize ?? size, authenticated: true, actions };
    return { ...entry, ...controls.faults.objectChanges[oid] };
  }

  async #lock(
    exchange: Exchange,
    place: { readonly workspace: string; readonly slug: string },
    endpoint: string,
  ): Promise<void> {
    const { request } = exchange;
    const isRead = request.method === "GET";
    const access = await admit(this.#fake, exchange, {
      ...place,
      service: isRead ? "git-upload-pack" : "git-receive-pack",
    });
    if ("refusal" in access) return answer(exchange, asLfs(access.refusal));
    if (!this.#fake.lfs.controls.faults.locks)
      return answer(exchange, lfsAnswer(404, { message: "Not found" }));
    const { folder } = access.repository;
    const owner = access.caller?.name ?? "anonymous";
    const body = isRead ? {} : await readJson(request);
    return answer(exchange, this.#answerLock(folder, owner, isRead, endpoint, body));
  }

  #answerLock(folder: string, owner: string, isRead: boolean, endpoint: string, body: unknown): Answer {
    const locks = this.#locks.get(folder) ?? [];
    const shapes = (some: readonly Lock[]): Json => some.map(lockShape);
    if (isRead && endpoint === "locks") return lfsAnswer(200, { locks: shapes(locks) });
    if (endpoint === "locks/verify") {
      const ours = locks.filter((lock) => lock.owner === owner);
      const theirs = locks.filter((lock) => lock.owner !== owner);
      return lfsAnswer(200, { ours: shapes(ours), theirs: shapes(theirs) });
    }
    const [, id] = /^locks\/(.+)\/unlock$/.exec(endpoint) ?? [];
    if (id !== undefined) {
      const lock = locks.find((one) => one.id === decodeURIComponent(id));
      if (lock === undefined) return lfsAnswer(404, { message: "No such lock" });
      this.#locks.set(
        folder,
        locks.filter((one) => one !== lock),
      );
      return lfsAnswer(200, { lock: lockShape(lock) });
    }
    const { path } = z.object({ path: z.string() }).parse(body);
    const lock = { id: `a.b=/${randomUUID()}`, path, owner };
    this.#locks.set(folder, [...locks, lock]);
    return lfsAnswer(201, { lock: lockShape(lock) });
  }
}

function lockShape({ id, path, owner }: Lock): Json {
  return { id, path, locked_at: "2026-11-30T12:00:00Z", owner: { name: owner } };
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
