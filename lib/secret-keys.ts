/** Secrets of which an old and a new value are valid at once, while one is replaced by the other. */
import { ConfigError } from "./errors.ts";

const MIN_KEY_LENGTH = 32;

/**
 * @param text - One secret, or several of 32 characters at least, separated by commas.
 * @param name - Of what holds it, for errors.
 * @returns The first one is used for what is made, each for what is checked.
 * @throws {ConfigError} One of several is too short. Taken for one secret with a comma in it, the text would invalidate the old
 * one, and nothing would say so.
 */
export function secretKeys(text: string, name = "a secret"): readonly [string, ...string[]] {
  const parts = text.split(",").map((key) => key.trim());
  if (parts.length === 1) return [text.trim()];
  if (parts.at(-1) === "") parts.pop();
  const [first = "", ...others] = parts;
  if (parts.every((key) => key.length >= MIN_KEY_LENGTH)) return [first, ...others];
  throw new ConfigError(
    `${name} has a comma, which separates keys: each must have ${MIN_KEY_LENGTH} characters at least`,
  );
}
