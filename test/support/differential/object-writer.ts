/** Makes git objects byte by byte, also ones that no git command would make, and puts them into a bare repository. */
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import type { GitShell } from "./git-shell.ts";
import type { GraphObjectType, ObjectGraph } from "./object-graph.ts";

const PACK_TYPES: Readonly<Record<GraphObjectType, number>> = { commit: 1, tree: 2, blob: 3, tag: 4 };

export class ObjectWriter {
  readonly #graph: ObjectGraph;
  /** Entries of a pack, not yet in the repository. */
  #entries: Uint8Array[] = [];

  /** @param graph - Gets to know every object. */
  constructor(graph: ObjectGraph) {
    this.#graph = graph;
  }

  /** @returns The object's id. */
  add(type: GraphObjectType, content: Uint8Array | string): string {
    const bytes = typeof content === "string" ? Buffer.from(content, "latin1") : content;
    const id = createHash("sha1").update(`${type} ${bytes.length}\0`).update(bytes).digest("hex");
    if (this.#graph.find(id) >= 0) return id;
    this.#graph.add(id, type, bytes);
    this.#entries.push(entryHeader(PACK_TYPES[type], bytes.length), deflateSync(bytes, { level: 1 }));
    return id;
  }

  /** Puts what was added since the last call into the repository. */
  async flush(shell: GitShell, repository: string): Promise<void> {
    const entries = this.#entries.splice(0);
    if (entries.length === 0) return;
    const header = Buffer.from("PACK\0\0\0\u0002\0\0\0\0", "latin1");
    header.writeUInt32BE(entries.length / 2, 8);
    const body = Buffer.concat([header, ...entries]);
    const trailer = createHash("sha1").update(body).digest();
    await shell.run({
      args: ["index-pack", "--stdin"],
      cwd: repository,
      input: Buffer.concat([body, trailer]),
    });
  }
}

function entryHeader(type: number, sizeBytes: number): Uint8Array {
  const header = [(type << 4) | (sizeBytes & 15)];
  for (let rest = sizeBytes >>> 4; rest > 0; rest >>>= 7) {
    header[header.length - 1] = (header.at(-1) ?? 0) | 0x80;
    header.push(rest & 0x7f);
  }
  return Uint8Array.from(header);
}
