/** The refs of one generation as an immutable blob in packed-refs format, with peeled values. Source: git-pack-refs(1). */
import { createHash } from "node:crypto";
import { CorruptPackError, ProtocolError } from "../errors.ts";
import { bytesOfText, byteText } from "../git/byte-text.ts";
import { isObjectId } from "../git/object-id.ts";
import type { Ref } from "../git/ports.ts";
import { isRefName } from "../git/ref-name.ts";

const HEADER = "# pack-refs with: peeled fully-peeled sorted \n";

export interface RefSnapshot {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly refCount: number;
}

/**
 * @param refs - In any order.
 * @throws {ProtocolError} A name that git would not accept, or twice the same.
 */
export function formatRefSnapshot(refs: readonly Ref[]): RefSnapshot {
  const sorted = refs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  let text = HEADER;
  let previousName: string | undefined;
  for (const { name, id, peeledId } of sorted) {
    if (!isRefName(name)) throw new ProtocolError("not a ref name", { name: name.slice(0, 200) });
    if (name === previousName) throw new ProtocolError("a ref is named twice", { name });
    previousName = name;
    text += `${id} ${name}\n`;
    if (peeledId !== undefined) text += `^${peeledId}\n`;
  }
  const bytes = bytesOfText(text);
  return { bytes, sha256: sha256Of(bytes), refCount: sorted.length };
}

/** @throws {CorruptPackError} Not what `formatRefSnapshot` makes, or its checksum is another. */
export function parseRefSnapshot(bytes: Uint8Array, sha256: string): Ref[] {
  if (sha256Of(bytes) !== sha256)
    throw new CorruptPackError("ref snapshot does not match its checksum", { sha256 });
  const [header, ...lines] = byteText(bytes).split("\n");
  if (`${header}\n` !== HEADER || lines.pop() !== "")
    throw new CorruptPackError("not a ref snapshot", { sha256 });
  const refs: Ref[] = [];
  for (const line of lines) {
    if (line.startsWith("^")) {
      const ref = refs.pop();
      const peeledId = line.slice(1);
      if (ref === undefined || !isObjectId(peeledId)) throw badLine(line);
      refs.push({ ...ref, peeledId });
    } else {
      const id = line.slice(0, 40);
      if (!isObjectId(id) || line[40] !== " ") throw badLine(line);
      refs.push({ name: line.slice(41), id });
    }
  }
  return refs;
}

function badLine(line: string): CorruptPackError {
  return new CorruptPackError("ref snapshot has a malformed line", { line: line.slice(0, 200) });
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
