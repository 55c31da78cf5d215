/** `.lfsconfig` of the default branch: where git-lfs clients go for files. Read to be shown only, never followed. */
import { parseCommit } from "../git/objects.ts";
import type { ObjectReader, RefList } from "../git/ports.ts";
import { peelObject } from "../git/walk/peel.ts";
import { readTree } from "../git/walk/read-tree.ts";

const FILE_NAME = Buffer.from(".lfsconfig");
const MAX_FILE_BYTES = 64 * 1024;
const MAX_LINE_LENGTH = 1000;
const MAX_URL_LENGTH = 500;

/** @returns The URL that it sets, if any. @throws {CorruptPackError} */
export async function readLfsConfigUrl(
  reader: ObjectReader,
  { head, refs }: RefList,
): Promise<string | undefined> {
  const tip = "ref" in head ? refs.find(({ name }) => name === head.ref)?.id : head.id;
  const peeled = tip === undefined ? undefined : await peelObject(reader, tip);
  if (peeled?.type !== "commit") return undefined;
  const { treeId } = parseCommit((await reader.read(peeled.objectNumber)).bytes);
  const treeNumber = reader.findId(treeId);
  if (treeNumber < 0) return undefined;
  for (const cursor = await readTree(reader, treeNumber); !cursor.isAtEnd; cursor.next()) {
    if (!FILE_NAME.equals(cursor.bytes.subarray(cursor.nameStart, cursor.nameEnd))) continue;
    const number = reader.find(cursor.bytes, cursor.idStart);
    if (number < 0 || (await reader.readType(number)) !== "blob") return undefined;
    const { bytes } = await reader.read(number);
    return bytes.length > MAX_FILE_BYTES ? undefined : parseLfsUrl(Buffer.from(bytes).toString("utf8"));
  }
  return undefined;
}

/**
 * Takes time in proportion to the text, whatever is in it: anyone with the right to push writes it.
 * @param text - In git's format of configuration files. @returns `lfs.url`.
 */
export function parseLfsUrl(text: string): string | undefined {
  let section = "";
  let url: string | undefined;
  for (const line of text.split("\n")) {
    if (line.length > MAX_LINE_LENGTH) continue;
    let setting = line.trim();
    if (setting.startsWith("[")) {
      const end = setting.indexOf("]");
      if (end < 0) continue;
      section = setting.slice(1, end).trim().toLowerCase();
      setting = setting.slice(end + 1);
    }
    const equals = setting.indexOf("=");
    if (section !== "lfs" || setting.slice(0, Math.max(0, equals)).trim().toLowerCase() !== "url") continue;
    const [value = ""] = setting.slice(equals + 1).split(/[#;]/, 1);
    url = value.replaceAll('"', "").trim() || url;
  }
  return url?.slice(0, MAX_URL_LENGTH);
}
