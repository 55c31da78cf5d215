/** Foreign text for people: what could control their terminal, or hide part of a line, becomes a space. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: the very characters that are removed
const CONTROLS = /[\s\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+/g;

export function printableLine(text: string): string {
  return text.replace(CONTROLS, " ").trim();
}
