/**
 * Decides whether a blob is a pointer of git-lfs, exactly as `git lfs fetch --all` does.
 * Source: git-lfs docs/spec.md, and lfs/pointer.go of 3.3: `decodeKV`; test/interop/lfs-pointers.test.ts asks git-lfs itself.
 */
import { startsWith } from "./byte-text.ts";

export interface LfsPointer {
  /** SHA-256 of the file: 64 hex digits, lower case. */
  readonly oid: string;
  /** As the pointer says. */
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

/** Of the blob `bytes[start..end)`. @returns `undefined` if it is none. */
export function parseLfsPointer(bytes: Uint8Array, start: number, end: number): LfsPointer | undefined {
  const lengthBytes = end - start;
  if (lengthBytes < MIN_BYTES || lengthBytes > MAX_BYTES) return undefined;
  const usual = parseUsual(bytes, start, end);
  if (usual !== undefined) return usual;
  return mayBePointer(bytes, start, end) ? parseText(utf8.decode(bytes.subarray(start, end))) : undefined;
}

const USUAL_START = new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:");
const USUAL_SIZE = new TextEncoder().encode("\nsize ");
const OID_DIGITS = 64;
const MAX_USUAL_SIZE_DIGITS = 14;

/** A pointer as git-lfs itself writes them, without a text of its lines. @returns `undefined` for what is to be looked at closely. */
function parseUsual(bytes: Uint8Array, start: number, end: number): LfsPointer | undefined {
  const oidStart = start + USUAL_START.length;
  const oidEnd = oidStart + OID_DIGITS;
  const sizeStart = oidEnd + USUAL_SIZE.length;
  const sizeEnd = bytes[end - 1] === 0x0a ? end - 1 : end;
  if (sizeEnd <= sizeStart || sizeEnd > sizeStart + MAX_USUAL_SIZE_DIGITS) return undefined;
  if (!startsWith(bytes, start, end, USUAL_START) || !startsWith(bytes, oidEnd, end, USUAL_SIZE))
    return undefined;
  for (let at = oidStart; at < oidEnd; at++) {
    const byte = bytes[at] as number;
    if (!isDigit(byte) && (byte < 0x61 || byte > 0x66)) return undefined;
  }
  let sizeBytes = 0;
  for (let at = sizeStart; at < sizeEnd; at++) {
    const byte = bytes[at] as number;
    if (!isDigit(byte)) return undefined;
    sizeBytes = sizeBytes * 10 + byte - 0x30;
  }
  if (sizeBytes === 0) return undefined;
  return { oid: utf8.decode(bytes.subarray(oidStart, oidEnd)), sizeBytes };
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
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
