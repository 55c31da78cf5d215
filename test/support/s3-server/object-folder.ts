/**
 * Objects on disk: bytes in files of their own, one small JSON document for each key, which is the commit point. A process that is
 * killed leaves old objects or new ones. The list of keys is kept in memory too.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { S3Error } from "./s3-error.ts";

/** Objects of several parts are never copied together. */
export interface Segment {
  readonly file: string;
  readonly sizeBytes: number;
}

export interface StoredObject {
  readonly key: string;
  /** With its quotes. */
  readonly etag: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
  readonly contentType: string;
  readonly checksums: Readonly<Record<string, string>>;
  readonly segments: readonly Segment[];
}

export class Bucket {
  readonly #folder: string;
  readonly #objects = new Map<string, StoredObject>();
  readonly #readers = new Map<StoredObject, number>();
  #sortedKeys: string[] | undefined;

  /** Reads what the folder has, and removes bytes that no object names. */
  constructor(folder: string) {
    this.#folder = folder;
    for (const name of ["objects", "data"]) mkdirSync(join(folder, name), { recursive: true });
    const kept = new Set<string>();
    for (const name of readdirSync(join(folder, "objects"))) {
      if (!name.endsWith(".json")) continue;
      const object: StoredObject = JSON.parse(readFileSync(join(folder, "objects", name), "utf8"));
      this.#objects.set(object.key, object);
      for (const { file } of object.segments) kept.add(file);
    }
    for (const file of readdirSync(join(folder, "data"))) if (!kept.has(file)) rmSync(this.dataPath(file));
  }

  newDataFile(): string {
    return randomUUID();
  }

  dataPath(file: string): string {
    return join(this.#folder, "data", file);
  }

  find(key: string): StoredObject | undefined {
    return this.#objects.get(key);
  }

  /** @throws {S3Error} NoSuchKey. */
  get(key: string): StoredObject {
    const object = this.#objects.get(key);
    if (object === undefined) throw new S3Error(404, "NoSuchKey");
    return object;
  }

  /** Synchronous, so that a condition checked just before still holds. */
  put(object: StoredObject): void {
    const path = this.#documentPath(object.key);
    writeFileSync(`${path}.new`, JSON.stringify(object));
    renameSync(`${path}.new`, path);
    this.#replace(object.key, object);
  }

  delete(key: string): void {
    rmSync(this.#documentPath(key), { force: true });
    this.#replace(key, undefined);
  }

  /** In the order of their UTF-8 bytes. */
  keys(): readonly string[] {
    this.#sortedKeys ??= [...this.#objects.keys()].sort((left, right) =>
      Buffer.compare(Buffer.from(left), Buffer.from(right)),
    );
    return this.#sortedKeys;
  }

  /** Keeps the bytes of an object that may be replaced meanwhile. @returns What to call when they are not needed any more. */
  hold(object: StoredObject): () => void {
    this.#readers.set(object, (this.#readers.get(object) ?? 0) + 1);
    return () => {
      const left = (this.#readers.get(object) ?? 1) - 1;
      if (left > 0) this.#readers.set(object, left);
      else this.#readers.delete(object);
      if (left === 0 && this.#objects.get(object.key) !== object) this.removeData(object.segments);
    };
  }

  removeData(segments: readonly Segment[]): void {
    for (const { file } of segments) rmSync(this.dataPath(file), { force: true });
  }

  #replace(key: string, object: StoredObject | undefined): void {
    const old = this.#objects.get(key);
    if (object === undefined) this.#objects.delete(key);
    else this.#objects.set(key, object);
    if ((old === undefined) !== (object === undefined)) this.#sortedKeys = undefined;
    if (old !== undefined && !this.#readers.has(old)) this.removeData(old.segments);
  }

  #documentPath(key: string): string {
    return join(this.#folder, "objects", `${createHash("sha256").update(key).digest("hex")}.json`);
  }
}
