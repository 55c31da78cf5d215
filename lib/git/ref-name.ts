/** Which ref names git accepts. Source: git-check-ref-format(1). */

// Control characters, space and the characters with a meaning in revisions or patterns.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|^\/|\/$|\.$/;

/** Whether `name` is a full ref name, such as `refs/heads/main`. */
export function isRefName(name: string): boolean {
  if (!name.startsWith("refs/") || FORBIDDEN.test(name)) return false;
  return name.split("/").every((part) => part !== "" && !part.startsWith(".") && !part.endsWith(".lock"));
}
