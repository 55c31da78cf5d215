/** What git makes of a pack that came over the wire. */
import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import type { GitShell } from "./git-shell.ts";

export interface ReceivedPack {
  /** In the order of the pack. */
  readonly sentIds: readonly string[];
  /** What it lacked and git took from the repository. */
  readonly baseIds: readonly string[];
  readonly hasOfsDeltas: boolean;
  readonly packBytes: number;
}

export interface ReceiveOptions {
  readonly shell: GitShell;
  /** A path to be used for a while, without an ending. */
  readonly file: string;
  /** Has all bases. */
  readonly repository: string;
  readonly isThin: boolean;
}

const TRAILER_BYTES = 20;
const OFS_DELTA = 6;

/**
 * @throws {Error} It is no sound pack, or lacks bases and is not `isThin`.
 */
export async function receivePack(
  pack: Uint8Array,
  { shell, file, repository, isThin }: ReceiveOptions,
): Promise<ReceivedPack> {
  const trailer = createHash("sha1").update(pack.subarray(0, -TRAILER_BYTES)).digest();
  if (!trailer.equals(pack.subarray(-TRAILER_BYTES))) throw new Error("the pack's checksum is wrong");
  const count = readObjectCount(pack);
  const { length: packBytes } = pack;
  if (count === 0) return { sentIds: [], baseIds: [], hasOfsDeltas: false, packBytes };
  const args = [
    "index-pack",
    "--stdin",
    ...(isThin ? ["--fix-thin"] : []),
    "-o",
    `${file}.idx`,
    `${file}.pack`,
  ];
  const { exitCode, stderr } = await shell.try({ args, cwd: repository, input: pack });
  if (exitCode !== 0) throw new Error(`git refuses the pack: ${stderr.trim()}`);
  const entries = parseIndex(await readFile(`${file}.idx`));
  await Promise.all([rm(`${file}.idx`), rm(`${file}.pack`), rm(`${file}.rev`, { force: true })]);
  const ids = entries.map(({ id }) => id);
  const sent = entries.slice(0, count);
  const hasOfsDeltas = sent.some(({ offset }) => (((pack[offset] ?? 0) >> 4) & 7) === OFS_DELTA);
  return { sentIds: ids.slice(0, count), baseIds: ids.slice(count), hasOfsDeltas, packBytes };
}

export function readObjectCount(pack: Uint8Array): number {
  return new DataView(pack.buffer, pack.byteOffset).getUint32(8);
}

/** Source: gitformat-pack(5), "Version 2 pack-*.idx files". */
function parseIndex(index: Buffer): { readonly id: string; readonly offset: number }[] {
  const namesAt = 8 + 256 * 4;
  const count = index.readUInt32BE(namesAt - 4);
  const offsetsAt = namesAt + count * 24;
  return Array.from({ length: count }, (_, i) => ({
    id: index.toString("hex", namesAt + i * 20, namesAt + i * 20 + 20),
    offset: index.readUInt32BE(offsetsAt + i * 4),
  })).toSorted((a, b) => a.offset - b.offset);
}
