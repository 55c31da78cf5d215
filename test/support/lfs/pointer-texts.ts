/** Texts of blobs that git-lfs takes for pointers, and texts that it does not. */
import { LFS_POINTER_BYTES, writeLfsPointer } from "../../../lib/git/lfs-pointer.ts";

interface PointerText {
  readonly name: string;
  /** @param oid - 64 hex digits, lower case, of a file of 11 bytes. */
  readonly text: (oid: string) => string;
  readonly sizeBytes?: number;
}

export const LFS_OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
const OTHER_OID = LFS_OID.replace("4", "5");
const V1 = "version https://git-lfs.github.com/spec/v1\n";
const usual = (oid: string): string => `${V1}oid sha256:${oid}\nsize 11\n`;
const extension = (key: string): string => `${key} sha256:${OTHER_OID}\n`;
const padded =
  (lengthBytes: number) =>
  (oid: string): string =>
    usual(oid).padEnd(lengthBytes, "\n");

export const POINTERS: readonly PointerText[] = [
  { name: "version 1", text: usual },
  {
    name: "git-media's version 2",
    text: (oid) => usual(oid).replace(V1, "version http://git-media.io/v/2\n"),
  },
  { name: "hawser's", text: (oid) => usual(oid).replace("git-lfs.github", "hawser.github") },
  { name: "CRLF", text: (oid) => usual(oid).replaceAll("\n", "\r\n") },
  { name: "blanks before", text: (oid) => `  ${usual(oid)}` },
  { name: "empty lines before", text: (oid) => `\n\n${usual(oid)}` },
  { name: "a tab before", text: (oid) => `\t${usual(oid)}` },
  { name: "a vertical tab before", text: (oid) => `\v${usual(oid)}` },
  { name: "a no-break space before", text: (oid) => `\u00a0${usual(oid)}` },
  { name: "an empty line within", text: (oid) => usual(oid).replace("\noid", "\n\noid") },
  { name: "an extension", text: (oid) => usual(oid).replace("oid", `${extension("ext-0-foo")}oid`) },
  { name: "an extension first", text: (oid) => extension("ext-1-foo") + usual(oid) },
  {
    name: "an extension after the oid",
    text: (oid) => usual(oid).replace("size", `${extension("ext-1-foo")}size`),
  },
  { name: "no newline at the end", text: (oid) => usual(oid).trimEnd() },
  { name: "newlines at the end", text: (oid) => `${usual(oid)}\n\n` },
  { name: "a form feed at the end", text: (oid) => `${usual(oid)}\f` },
  { name: "a blank after the size", text: (oid) => usual(oid).replace("11", "11 ") },
  { name: "a size with a sign", text: (oid) => usual(oid).replace("11", "+11") },
  { name: "a size with zeros before", text: (oid) => usual(oid).replace("11", "0011") },
  { name: "1,023 bytes", text: padded(1023) },
  {
    name: "a size above 4 GiB",
    text: (oid) => usual(oid).replace("11", "5000000000"),
    sizeBytes: 5_000_000_000,
  },
];

export const NOT_POINTERS: readonly PointerText[] = [
  { name: "no version", text: (oid) => usual(oid).replace(V1, "") },
  { name: "git-media alone", text: (oid) => usual(oid).replace(V1, "version http://git-media.io\n") },
  { name: "a line too many", text: (oid) => `${usual(oid)}foo bar\n` },
  { name: "an extension after the size", text: (oid) => usual(oid) + extension("ext-1-foo") },
  { name: "an upper-case oid", text: (oid) => usual(oid.toUpperCase()) },
  { name: "a longer oid", text: (oid) => usual(`${oid}ff`) },
  { name: "a shorter oid", text: (oid) => usual(oid.slice(1)) },
  { name: "another hash", text: (oid) => usual(oid).replace("sha256", "sha1") },
  { name: "size 0", text: (oid) => usual(oid).replace("11", "0") },
  { name: "a negative size", text: (oid) => usual(oid).replace("11", "-11") },
  { name: "a size with an underscore", text: (oid) => usual(oid).replace("11", "1_1") },
  { name: "a size that is no number", text: (oid) => usual(oid).replace("11", "many") },
  { name: "a size above 2^63", text: (oid) => usual(oid).replace("11", "9223372036854775808") },
  { name: "the oid first", text: (oid) => `oid sha256:${oid}\n${V1}size 11\n` },
  { name: "the size before the oid", text: (oid) => `${V1}size 11\noid sha256:${oid}\n` },
  { name: "two blanks", text: (oid) => usual(oid).replace("version ", "version  ") },
  { name: "a line of one blank", text: (oid) => usual(oid).replace("\noid", "\n \noid") },
  {
    name: "an extension of priority 10",
    text: (oid) => usual(oid).replace("oid", `${extension("ext-10-foo")}oid`),
  },
  {
    name: "two extensions of one priority",
    text: (oid) => usual(oid).replace("oid", `${extension("ext-0-foo")}${extension("ext-0-bar")}oid`),
  },
  {
    name: "an extension without an oid",
    text: (oid) => usual(oid).replace("oid", "ext-0-foo sha256:xyz\noid"),
  },
  { name: "a byte order mark", text: (oid) => `\ufeff${usual(oid)}` },
  { name: "a zero byte at the end", text: (oid) => `${usual(oid)}\0` },
  { name: "lines that end in CR", text: (oid) => usual(oid).replaceAll("\n", "\r") },
  { name: "1,024 bytes", text: padded(1024) },
];

/** What the indexer makes of the blob `bytes[start..end)`. @returns `undefined` if it is no pointer. */
export function readPointer(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly oid: string; readonly sizeBytes: number } | undefined {
  const record = Buffer.alloc(LFS_POINTER_BYTES.oid + LFS_POINTER_BYTES.size);
  if (!writeLfsPointer(bytes, start, end, record, 0)) return undefined;
  return {
    oid: record.toString("hex", 0, LFS_POINTER_BYTES.oid),
    sizeBytes: record.readUIntBE(LFS_POINTER_BYTES.oid, LFS_POINTER_BYTES.size),
  };
}
