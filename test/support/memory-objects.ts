/** Commits, trees and blobs in memory, for walks: made in any order, clocks as one likes. */
import { createHash } from "node:crypto";
import { type ObjectId, objectIdAt, objectIdBytes } from "../../lib/git/object-id.ts";
import type { ObjectType } from "../../lib/git/pack/pack-format.ts";
import type { GitObject, ObjectReader } from "../../lib/git/ports.ts";
import { WorkSlices } from "../../lib/git/work-slices.ts";
import { utf8 } from "./byte-chunks.ts";

/** A file's content, or a folder. */
export interface Folder {
  readonly [name: string]: string | Folder;
}

export class MemoryObjects implements ObjectReader {
  /** Tests put their own here, to count. */
  slices = new WorkSlices();
  readonly #ids: ObjectId[] = [];
  readonly #objects: GitObject[] = [];
  readonly #numbers = new Map<ObjectId, number>();
  readonly #children: ObjectId[][] = [];

  get objectCount(): number {
    return this.#objects.length;
  }

  find(idBytes: Uint8Array, start: number): number {
    return this.findId(objectIdAt(idBytes, start));
  }

  findId(id: ObjectId): number {
    return this.#numbers.get(id) ?? -1;
  }

  objectId(objectNumber: number): ObjectId {
    const id = this.#ids[objectNumber];
    if (id === undefined) throw new RangeError(`no object ${objectNumber}`);
    return id;
  }

  at(id: ObjectId): GitObject {
    const object = this.#objects[this.findId(id)];
    if (object === undefined) throw new RangeError(`no object ${id}`);
    return object;
  }

  async read(objectNumber: number): Promise<GitObject> {
    const object = this.#objects[objectNumber];
    if (object === undefined) throw new RangeError(`no object ${objectNumber}`);
    return object;
  }

  async readType(objectNumber: number): Promise<ObjectType> {
    return (await this.read(objectNumber)).type;
  }

  async readSize(objectNumber: number): Promise<number> {
    return (await this.read(objectNumber)).bytes.length;
  }

  readAhead(): void {}

  addBlob(content: string): ObjectId {
    return this.#add("blob", utf8(content), []);
  }

  addTree(folder: Folder): ObjectId {
    const entries = Object.entries(folder).map(([name, content]) => {
      const isFile = typeof content === "string";
      const id = isFile ? this.addBlob(content) : this.addTree(content);
      const head = Buffer.from(`${isFile ? "100644" : "40000"} ${name}\0`);
      return {
        key: Buffer.from(isFile ? name : `${name}/`),
        id,
        bytes: Buffer.concat([head, objectIdBytes(id)]),
      };
    });
    entries.sort((a, b) => Buffer.compare(a.key, b.key));
    return this.#add(
      "tree",
      Buffer.concat(entries.map(({ bytes }) => bytes)),
      entries.map(({ id }) => id),
    );
  }

  addCommit(folder: Folder, parents: readonly ObjectId[], seconds: number): ObjectId {
    const treeId = this.addTree(folder);
    const lines = [`tree ${treeId}`, ...parents.map((id) => `parent ${id}`), `author A <a@x> 0 +0000`];
    const text = `${lines.join("\n")}\ncommitter C <c@x> ${seconds} +0000\n\n${this.objectCount}\n`;
    return this.#add("commit", utf8(text), [treeId, ...parents]);
  }

  addTag(targetId: ObjectId, targetType: ObjectType, name: string): ObjectId {
    return this.#add("tag", utf8(`object ${targetId}\ntype ${targetType}\ntag ${name}\n\n`), [targetId]);
  }

  /** What the object names: of a commit the tree, then the parents. */
  childrenOf(id: ObjectId): readonly ObjectId[] {
    return this.#children[this.findId(id)] ?? [];
  }

  /** The objects themselves and all they lead to. */
  closure(ids: Iterable<ObjectId>): Set<ObjectId> {
    const reached = new Set<ObjectId>();
    const pending = [...ids];
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      if (reached.has(id)) continue;
      reached.add(id);
      pending.push(...this.childrenOf(id));
    }
    return reached;
  }

  #add(type: ObjectType, bytes: Uint8Array, children: ObjectId[]): ObjectId {
    const hash = createHash("sha1").update(`${type} ${bytes.length}\0`).update(bytes);
    const id = objectIdAt(hash.digest(), 0);
    if (this.#numbers.has(id)) return id;
    this.#numbers.set(id, this.#objects.length);
    this.#ids.push(id);
    this.#objects.push({ type, bytes });
    this.#children.push(children);
    return id;
  }
}
