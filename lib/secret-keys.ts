/** Secrets of which an old and a new value are valid at once, while one is replaced by the other. */

/** Shorter texts between commas are no keys: a secret that people wrote may have commas in it. */
const MIN_KEY_LENGTH = 32;

/**
 * @param text - One secret, or several of 32 characters at least, separated by commas.
 * @returns The first one is used for what is made, each for what is checked.
 */
export function secretKeys(text: string): readonly [string, ...string[]] {
  const [first = "", ...others] = text.split(",").map((key) => key.trim());
  return [first, ...others].some((key) => key.length < MIN_KEY_LENGTH) ? [text] : [first, ...others];
}
