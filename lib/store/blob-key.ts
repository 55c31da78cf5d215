/** What a key may look like, the same for every store. */

/** S3's limit. */
const MAX_KEY_BYTES = 1024;
/** What file systems allow between two slashes. */
const MAX_SEGMENT_BYTES = 255;

/** First segment that no key has: the folder store keeps its lock and its unfinished writes there. */
export const RESERVED_SEGMENT = ".nearside";

/** Control characters break XML listings; `\` separates folders on some systems. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN_CHARACTERS = /[\u0000-\u001f\u007f\\]/;

/**
 * Checks that a key is `/`-separated, relative, without empty, `.` or `..` segments, of at most 1,024 bytes and 255 a segment.
 * @throws {TypeError} It is not: the caller built it from something unchecked.
 */
export function assertBlobKey(key: string): void {
  const problem = keyProblem(key);
  if (problem !== undefined)
    throw new TypeError(`bad blob key ${JSON.stringify(key.slice(0, 200))}: ${problem}`);
}

/**
 * Checks a prefix to list: empty, or the beginning of a key.
 * @throws {TypeError} No key can begin so.
 */
export function assertBlobPrefix(prefix: string): void {
  const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf("/")));
  if (folder !== "" || prefix.startsWith("/")) assertBlobKey(folder);
}

/** Prefix of keys in a folder of a larger store, with its `/`. */
export function folderPrefix(folder: string): string {
  return folder === "" || folder.endsWith("/") ? folder : `${folder}/`;
}

function keyProblem(key: string): string | undefined {
  if (!key.isWellFormed()) return "not well-formed Unicode";
  if (FORBIDDEN_CHARACTERS.test(key)) return "control character or backslash";
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `above ${MAX_KEY_BYTES} bytes`;
  const segments = key.split("/");
  if (segments[0] === RESERVED_SEGMENT) return `${RESERVED_SEGMENT} is reserved`;
  for (const segment of segments) {
    if (segment === "" || segment === "." || segment === "..") return "empty, . or .. segment";
    if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) return `segment above ${MAX_SEGMENT_BYTES} bytes`;
  }
  return undefined;
}
