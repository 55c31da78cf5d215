/** Paths as logs may have them. */

/** Before a token of the stream tier: no workspace is called `-`. */
export const TOKEN_PATH_PREFIX = "/-/t/";

/** @returns The path without the token in it, which is a credential for up to an hour. */
export function loggedPath(path: string): string {
  if (!path.startsWith(TOKEN_PATH_PREFIX)) return path;
  const end = path.indexOf("/", TOKEN_PATH_PREFIX.length);
  return `${TOKEN_PATH_PREFIX}***${end < 0 ? "" : path.slice(end)}`;
}
