/** Paths and addresses as logs and messages may have them. */

/** Before a token of the stream tier: no workspace is called `-`. */
export const TOKEN_PATH_PREFIX = "/-/t/";

/** @returns The path without the token in it, which is a credential for up to an hour. */
export function loggedPath(path: string): string {
  if (!path.startsWith(TOKEN_PATH_PREFIX)) return path;
  const end = path.indexOf("/", TOKEN_PATH_PREFIX.length);
  return `${TOKEN_PATH_PREFIX}***${end < 0 ? "" : path.slice(end)}`;
}

/** @returns Foreign text, such as what git writes, without what its addresses hold beside names: userinfo, queries (signatures), tokens. */
export function loggedText(text: string): string {
  return text.replace(/(https?:\/\/)([^\s'"<>]+)/g, (_, scheme: string, rest: string) => {
    const [place = "", ...query] = rest.replace(/^[^/?#]*@/, "***@").split("?");
    const masked = place.replace(/\/-\/t\/[^/]+/, `${TOKEN_PATH_PREFIX}***`);
    return `${scheme}${masked}${query.length > 0 ? "?***" : ""}`;
  });
}
