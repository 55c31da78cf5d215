/** `.lfsconfig` of the default branch: where git-lfs clients go for files. Read to be shown only, never followed. */
import { parseCommit } from "../git/objects.ts";
import type { ObjectReader, RefList } from "../git/ports.ts";
import { peelObject } from "../git/walk/peel.ts";
import { readTree } from "../git/walk/read-tree.ts";

const FILE_NAME = Buffer.from(".lfsconfig");
const MAX_FILE_BYTES = 64 * 1024;
const MAX_URL_LENGTH = 500;

/** @returns The URL that it sets, if any. @throws {CorruptPackError} */
export async function readLfsConfigUrl(
  reader: ObjectReader,
  { head, refs }: RefList,
): Promise<string | undefined> {
  const tip = "ref" in head ? refs.find(({ name }) => name === head.ref)?.id : head.commitId;
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
    return bytes.length > MAX_FILE_BYTES ? undefined : urlOf(Buffer.from(bytes).toString("utf8"));
  }
  return undefined;
}

/** `lfs.url`, in git's format of configuration files. */
function urlOf(text: string): string | undefined {
  let section = "";
  let url: string | undefined;
  for (const line of text.split("\n")) {
    section = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line)?.[1]?.toLowerCase() ?? section;
    const [, value] = /^\s*(?:\[[^\]]*\])?\s*url\s*=\s*"?([^"#;\r]*?)"?\s*(?:[#;].*)?\r?$/i.exec(line) ?? [];
    if (section === "lfs" && value) url = value;
  }
  return url?.slice(0, MAX_URL_LENGTH);
}
