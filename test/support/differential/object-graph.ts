/**
 * What git objects say of each other, held apart from the code under test: who refers to whom, under which name.
 * Objects are numbers, in the order they were heard of.
 */

export type GraphObjectType = "commit" | "tree" | "blob" | "tag";

const decoder = new TextDecoder("latin1");
const GITLINK_TYPE = "16";

export class ObjectGraph {
  readonly #numbers = new Map<string, number>();
  readonly #names = new Map<string, number>();
  readonly #ids: string[] = [];
  readonly #types: (GraphObjectType | undefined)[] = [];
  readonly #sizes: number[] = [];
  /** Of a commit its tree and parents, of a tree its entries without submodules, of a tag its target. */
  readonly #links: Uint32Array[] = [];
  /** Of a tree's entries, as numbers. */
  readonly #entryNames: (Uint32Array | undefined)[] = [];
  readonly #seconds: number[] = [];

  get size(): number {
    return this.#ids.length;
  }

  add(id: string, type: GraphObjectType, bytes: Uint8Array): number {
    const object = this.#numberOf(id);
    if (this.#types[object] !== undefined) return object;
    this.addBlob(id, bytes.length);
    this.#types[object] = type;
    if (type === "tree") this.#addTree(object, bytes);
    else if (type !== "blob") this.#addLinks(object, decoder.decode(bytes));
    return object;
  }

  /** A blob whose content does not matter. */
  addBlob(id: string, sizeBytes: number): number {
    const object = this.#numberOf(id);
    this.#types[object] ??= "blob";
    this.#sizes[object] = sizeBytes;
    return object;
  }

  /** @returns -1 if the object was never added. */
  find(id: string): number {
    const object = this.#numbers.get(id) ?? -1;
    return object >= 0 && this.#types[object] !== undefined ? object : -1;
  }

  /** @throws {RangeError} The object was never added. */
  numberOf(id: string): number {
    const object = this.find(id);
    if (object < 0) throw new RangeError(`no object ${id} in the graph`);
    return object;
  }

  id(object: number): string {
    return this.#ids[object] ?? "";
  }

  /** @throws {RangeError} Something refers to the object, but it was never added. */
  type(object: number): GraphObjectType {
    const type = this.#types[object];
    if (type === undefined) throw new RangeError(`object ${this.id(object)} is missing from the graph`);
    return type;
  }

  sizeBytes(object: number): number {
    return this.#sizes[object] ?? 0;
  }

  links(object: number): Uint32Array {
    return this.#links[object] ?? NO_LINKS;
  }

  parents(commit: number): Uint32Array {
    return this.links(commit).subarray(1);
  }

  seconds(commit: number): number {
    return this.#seconds[commit] ?? 0;
  }

  entryNames(tree: number): Uint32Array {
    return this.#entryNames[tree] ?? NO_LINKS;
  }

  /** What a tag, a tag of a tag and so on point to in the end. */
  peel(object: number): number {
    let peeled = object;
    while (this.type(peeled) === "tag") peeled = this.links(peeled)[0] ?? peeled;
    return peeled;
  }

  #numberOf(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const object = this.#ids.push(id) - 1;
    this.#numbers.set(id, object);
    return object;
  }

  #addTree(object: number, bytes: Uint8Array): void {
    const links: number[] = [];
    const names: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      const space = bytes.indexOf(0x20, at);
      const end = bytes.indexOf(0, space);
      if (!decoder.decode(bytes.subarray(at, space)).startsWith(GITLINK_TYPE)) {
        const name = decoder.decode(bytes.subarray(space + 1, end));
        names.push(numberIn(this.#names, name));
        links.push(this.#numberOf(Buffer.from(bytes.subarray(end + 1, end + 21)).toString("hex")));
      }
      at = end + 21;
    }
    this.#links[object] = Uint32Array.from(links);
    this.#entryNames[object] = Uint32Array.from(names);
  }

  #addLinks(object: number, text: string): void {
    const header = text.split("\n\n", 1)[0] ?? "";
    const ids = [...header.matchAll(/^(?:tree|parent|object) ([0-9a-f]{40})$/gm)].map(([, id = ""]) => id);
    this.#links[object] = Uint32Array.from(ids, (id) => this.#numberOf(id));
    this.#seconds[object] = Number(/^committer .*> (\d+)/m.exec(header)?.[1] ?? 0);
  }
}

const NO_LINKS = new Uint32Array(0);

function numberIn(numbers: Map<string, number>, text: string): number {
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, numbers.size);
  return numbers.size - 1;
}
