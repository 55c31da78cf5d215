/** Random changes to the files of a commit. Folders are values: a change makes new ones along its path. */
import type { ObjectWriter } from "./object-writer.ts";
import type { Random } from "./random.ts";

export interface File {
  readonly mode: string;
  readonly id: string;
}

/** By name, in Latin-1: a character is a byte. */
export type Folder = ReadonlyMap<string, File | Folder>;

export const EMPTY_FOLDER: Folder = new Map();

const FILE_NAMES = [
  "a.txt",
  "b.txt",
  "README",
  "c",
  "c.d",
  "c-d",
  "caf\xe9.txt",
  "gr\xc3\xbc\xc3\x9fe",
  "\xff\xfe",
  "x y",
];
const FOLDER_NAMES = ["c", "src", "lib", "lib.old", "lib-new", "deep", "d\xe9j\xe0"];
const FILE_MODES = ["100644", "100644", "100644", "100755", "100664", "120000"];

/** Makes random trees and their blobs; remembers blobs, so that the same come again. */
export class FolderMaker {
  readonly #random: Random;
  readonly #writer: ObjectWriter;
  readonly #blobs: File[] = [];
  readonly #texts: string[][] = [];
  readonly #treeIds = new WeakMap<Folder, string>();

  constructor(random: Random, writer: ObjectWriter) {
    this.#random = random;
    this.#writer = writer;
  }

  /** Some changes away from `folder`, perhaps none. */
  change(folder: Folder): Folder {
    const random = this.#random;
    if (random.chance(0.01)) return EMPTY_FOLDER;
    if (random.chance(0.02)) return folder;
    let changed = folder;
    for (let count = random.between(1, 4); count > 0; count--) changed = this.#changeOne(changed);
    return changed;
  }

  /** Parts of each: what a merge could leave. */
  merge(folders: readonly Folder[]): Folder {
    const random = this.#random;
    const merged = new Map<string, File | Folder>();
    for (const folder of folders) {
      for (const [name, item] of folder) if (!merged.has(name) || random.chance(0.4)) merged.set(name, item);
    }
    return random.chance(0.3) ? this.#changeOne(merged) : merged;
  }

  /** @returns The tree's id. */
  write(folder: Folder): string {
    const known = this.#treeIds.get(folder);
    if (known !== undefined) return known;
    const entries = [...folder].map(([name, item]) => {
      const isFile = "mode" in item;
      return { sortName: isFile ? name : `${name}/`, name, mode: isFile ? item.mode : "40000", item };
    });
    entries.sort((a, b) => (a.sortName < b.sortName ? -1 : 1));
    const bytes = entries.flatMap(({ name, mode, item }) => [
      Buffer.from(`${mode} ${name}\0`, "latin1"),
      Buffer.from("mode" in item ? item.id : this.write(item), "hex"),
    ]);
    const id = this.#writer.add("tree", Buffer.concat(bytes));
    this.#treeIds.set(folder, id);
    return id;
  }

  #changeOne(folder: Folder): Folder {
    const random = this.#random;
    const changed = new Map(folder);
    const roll = random.below(100);
    const names = [...folder.keys()];
    if (roll < 45) return this.#changeInside(folder);
    if (roll < 70 || names.length === 0) changed.set(random.pick(FILE_NAMES), this.#file());
    else if (roll < 78) changed.delete(random.pick(names));
    else if (roll < 84) this.#rename(changed, random.pick(names));
    else if (roll < 88) changed.set("module", { mode: "160000", id: random.hex(40) });
    else if (roll < 90) changed.set("empty", EMPTY_FOLDER);
    else if (roll < 92) changed.set("tower", this.#tower(random.between(5, 30)));
    else changed.set(random.pick(FOLDER_NAMES), new Map([[random.pick(FILE_NAMES), this.#file()]]));
    return changed;
  }

  #changeInside(folder: Folder): Folder {
    const random = this.#random;
    const folders = [...folder].filter((entry): entry is [string, Folder] => !("mode" in entry[1]));
    const changed = new Map(folder);
    if (folders.length === 0 || random.chance(0.4)) changed.set(random.pick(FILE_NAMES), this.#file());
    else {
      const [name, inner] = random.pick(folders);
      changed.set(name, this.#changeOne(inner));
    }
    return changed;
  }

  #rename(folder: Map<string, File | Folder>, name: string): void {
    const item = folder.get(name);
    if (item === undefined) return;
    if (this.#random.chance(0.7)) folder.delete(name);
    folder.set(`${name}.${this.#random.below(3)}`, item);
  }

  #tower(height: number): Folder {
    let folder: Folder = new Map([["top", this.#file()]]);
    for (let level = 0; level < height; level++) folder = new Map([[`level-${level % 3}`, folder]]);
    return folder;
  }

  #file(): File {
    const random = this.#random;
    const mode = random.pick(FILE_MODES);
    // Content that was there before comes back: under another name, or after it was changed.
    if (this.#blobs.length > 0 && random.chance(0.3)) return { mode, id: random.pick(this.#blobs).id };
    const file = { mode, id: this.#writer.add("blob", this.#content()) };
    this.#blobs.push(file);
    return file;
  }

  #content(): Uint8Array | string {
    const random = this.#random;
    const roll = random.below(100);
    if (roll < 2) return "";
    if (roll < 4) return random.bytes(random.between(1, 9000));
    if (roll < 30 || this.#texts.length === 0) {
      const lines = Array.from({ length: random.between(1, 60) }, () => `${random.hex(random.below(40))}\n`);
      this.#texts.push(lines);
      return lines.join("");
    }
    // A line or two away from an older text, so that git stores a delta.
    const lines = [...random.pickLate(this.#texts)];
    for (let count = random.between(1, 3); count > 0; count--) {
      lines.splice(random.below(lines.length + 1), random.below(2), `${random.hex(20)}\n`);
    }
    this.#texts.push(lines);
    return lines.join("");
  }
}
