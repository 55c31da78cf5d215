/**
 * Decides whether a blob is a pointer of git-lfs, exactly as `git lfs fetch --all` does.
 * Source: git-lfs docs/spec.md, and lfs/pointer.go of 3.3: `decodeKV`; test/interop/lfs-pointers.test.ts asks git-lfs itself.
 */
import { startsWith } from "./byte-text.ts";

/** Bytes of a pointer in a record: the file's SHA-256, then its size as the pointer says, big-endian. */
export const LFS_POINTER_BYTES = { oid: 32, size: 6 } as const;

interface LfsPointer {
  /** 64 hex digits, lower case. */
  readonly oid: string;
  readonly sizeBytes: number;
}

/** git-lfs looks into smaller blobs only. */
const MAX_BYTES = 1023;
/** A version line, an oid and a size, as short as they can be. */
const MIN_BYTES = 100;
/** What the six bytes of a table's record hold. A pointer that claims more is for the primary. */
const MAX_SIZE_BYTES = 2 ** 48 - 1;

const VERSIONS: ReadonlySet<string> = new Set([
  "https://git-lfs.github.com/spec/v1",
  "https://hawser.github.com/spec/v1",
  "http://git-media.io/v/2",
]);
const KEYS = ["version", "oid", "size"] as const;
const OID_VALUE = /^sha256:([0-9a-f]{64})$/;
const EXTENSION_KEY = /^ext-(\d)-\w+/;
/** Go's `unicode.IsSpace`. */
const BLANKS = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*";
const AROUND = new RegExp(`^${BLANKS}|${BLANKS}$`, "g");

const VERSION_START = new TextEncoder().encode("version ");
const EXTENSION_START = new TextEncoder().encode("ext-");
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Looks whether the blob `bytes[start..end)` is a pointer, and if so writes it to `record`, from `at` on.
 * Without any object for a usual pointer: a repository may have as many as it has files.
 */
export function writeLfsPointer(
  bytes: Uint8Array,
  start: number,
  end: number,
  record: Uint8Array,
  at: number,
): boolean {
  const lengthBytes = end - start;
  if (lengthBytes < MIN_BYTES || lengthBytes > MAX_BYTES) return false;
  if (writeUsual(bytes, start, end, record, at)) return true;
  if (!mayBePointer(bytes, start, end)) return false;
  const pointer = parseText(utf8.decode(bytes.subarray(start, end)));
  if (pointer === undefined) return false;
  record.set(Buffer.from(pointer.oid, "hex"), at);
  writeSize(pointer.sizeBytes, record, at + LFS_POINTER_BYTES.oid);
  return true;
}

const USUAL_START = new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:");
const USUAL_SIZE = new TextEncoder().encode("\nsize ");
const OID_DIGITS = 64;
const MAX_USUAL_SIZE_DIGITS = 14;

const NO_DIGIT = 0x80;
/** Of a character's code. */
const HEX_VALUES = new Uint8Array(256).fill(NO_DIGIT);
for (const [value, digit] of Array.from("0123456789abcdef").entries())
  HEX_VALUES[digit.charCodeAt(0)] = value;

/** @returns False for what is no pointer as git-lfs itself writes them. Then `record` is undefined. */
function writeUsual(bytes: Uint8Array, start: number, end: number, record: Uint8Array, at: number): boolean {
  const oidStart = start + USUAL_START.length;
  const oidEnd = oidStart + OID_DIGITS;
  const sizeStart = oidEnd + USUAL_SIZE.length;
  const sizeEnd = bytes[end - 1] === 0x0a ? end - 1 : end;
  if (sizeEnd <= sizeStart || sizeEnd > sizeStart + MAX_USUAL_SIZE_DIGITS) return false;
  if (!startsWith(bytes, start, end, USUAL_START) || !startsWith(bytes, oidEnd, end, USUAL_SIZE))
    return false;
  let seen = 0;
  for (let i = 0; i < LFS_POINTER_BYTES.oid; i++) {
    const high = HEX_VALUES[bytes[oidStart + 2 * i] as number] as number;
    const low = HEX_VALUES[bytes[oidStart + 2 * i + 1] as number] as number;
    seen |= high | low;
    record[at + i] = (high << 4) | low;
  }
  let sizeBytes = 0;
  for (let i = sizeStart; i < sizeEnd; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return false;
    sizeBytes = sizeBytes * 10 + digit;
  }
  if ((seen & NO_DIGIT) !== 0 || sizeBytes === 0) return false;
  writeSize(sizeBytes, record, at + LFS_POINTER_BYTES.oid);
  return true;
}

function writeSize(sizeBytes: number, record: Uint8Array, at: number): void {
  let rest = sizeBytes;
  for (let i = at + LFS_POINTER_BYTES.size - 1; i >= at; i--) {
    record[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Nearly every blob ends here: no text is made of it. */
function mayBePointer(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && isAsciiBlank(bytes[at] as number)) at++;
  // A blank of more than one byte may come first.
  if ((bytes[at] ?? 0) >= 0x80) return true;
  return startsWith(bytes, at, end, VERSION_START) || startsWith(bytes, at, end, EXTENSION_START);
}

function isAsciiBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function parseText(text: string): LfsPointer | undefined {
  const values: string[] = [];
  const extensions = new Map<string, string>();
  for (const ended of text.replace(AROUND, "").split("\n")) {
    const line = ended.endsWith("\r") ? ended.slice(0, -1) : ended;
    if (line === "") continue;
    const blank = line.indexOf(" ");
    // Lines after the size too: an extension there is one too many.
    if (blank < 0 || values.length === KEYS.length) return undefined;
    const [key, value] = [line.slice(0, blank), line.slice(blank + 1)];
    if (key === KEYS[values.length]) values.push(value);
    else if (EXTENSION_KEY.test(key)) extensions.set(key, value);
    else return undefined;
  }
  const [version = "", oidValue = "", sizeValue = ""] = values;
  if (!VERSIONS.has(version) || !areExtensions(extensions)) return undefined;
  const oid = OID_VALUE.exec(oidValue)?.[1];
  const sizeBytes = /^\+?\d+$/.test(sizeValue) ? Number(sizeValue) : 0;
  if (oid === undefined || sizeBytes === 0 || sizeBytes > MAX_SIZE_BYTES) return undefined;
  return { oid, sizeBytes };
}

function areExtensions(extensions: ReadonlyMap<string, string>): boolean {
  const priorities = new Set<string>();
  for (const [key, value] of extensions) {
    const priority = EXTENSION_KEY.exec(key)?.[1] ?? "";
    if (priorities.has(priority) || !OID_VALUE.test(value)) return false;
    priorities.add(priority);
  }
  return true;
}
