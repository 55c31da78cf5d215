/**
 * Matches paths against patterns with `*`, `?`, `[…]` and `**`, in time bounded by the product of their lengths: patterns
 * come from outside. Strings hold a byte in each character.
 * Source: gitignore(5), "PATTERN FORMAT".
 */

const SLASH = 0x2f;

type Token =
  | { readonly kind: "one"; readonly matches: (charCode: number) => boolean }
  /** Any characters, or none; `crossesFolders` says whether slashes are among them. */
  | { readonly kind: "star"; readonly crossesFolders: boolean }
  /** Nothing, or whole folders with the slash behind them. */
  | { readonly kind: "folders" };

export interface Wildmatch {
  matches(text: string): boolean;
}

/** @returns `undefined` if the pattern can match nothing, such as one with an open bracket. */
export function compileWildmatch(pattern: string): Wildmatch | undefined {
  const tokens = parseTokens(pattern);
  return tokens === undefined ? undefined : { matches: (text) => matchesTokens(tokens, text) };
}

function parseTokens(pattern: string): Token[] | undefined {
  const tokens: Token[] = [];
  for (let index = 0; index < pattern.length; ) {
    const char = pattern.charAt(index);
    if (char === "*") {
      const starsEnd = index + (/^\*+/.exec(pattern.slice(index))?.[0].length ?? 1);
      const isWhole = (index === 0 || pattern[index - 1] === "/") && starsEnd - index === 2;
      const next = pattern[starsEnd];
      const isFolders = isWhole && next === "/";
      if (isFolders) tokens.push({ kind: "folders" });
      else tokens.push({ kind: "star", crossesFolders: isWhole && next === undefined });
      index = isFolders ? starsEnd + 1 : starsEnd;
    } else if (char === "[") {
      const bracket = parseBracket(pattern, index);
      if (bracket === undefined) return undefined;
      tokens.push({ kind: "one", matches: bracket.matches });
      index = bracket.end;
    } else if (char === "?") {
      tokens.push({ kind: "one", matches: (code) => code !== SLASH });
      index += 1;
    } else {
      if (char === "\\") index += 1;
      if (index === pattern.length) return undefined;
      const literal = pattern.charCodeAt(index);
      tokens.push({ kind: "one", matches: (code) => code === literal });
      index += 1;
    }
  }
  return tokens;
}

const CLASSES: ReadonlyMap<string, RegExp> = new Map([
  ["alnum", /[A-Za-z0-9]/],
  ["alpha", /[A-Za-z]/],
  ["blank", /[ \t]/],
  ["digit", /[0-9]/],
  ["lower", /[a-z]/],
  ["punct", /[!-/:-@[-`{-~]/],
  ["space", /\s/],
  ["upper", /[A-Z]/],
  ["xdigit", /[0-9A-Fa-f]/],
]);

/** @returns `undefined` if it is not closed or names an unknown class. */
function parseBracket(
  pattern: string,
  start: number,
): { readonly matches: (charCode: number) => boolean; readonly end: number } | undefined {
  let index = start + 1;
  const isNegated = pattern[index] === "!" || pattern[index] === "^";
  if (isNegated) index += 1;
  const first = index;
  const tests: ((charCode: number) => boolean)[] = [];
  for (; index === first || pattern[index] !== "]"; ) {
    const className = /^\[:([a-z]*):\]/.exec(pattern.slice(index, index + 12));
    if (className !== null) {
      const characters = CLASSES.get(className[1] ?? "");
      if (characters === undefined) return undefined;
      tests.push((code) => characters.test(String.fromCharCode(code)));
      index += className[0].length;
      continue;
    }
    if (pattern[index] === "\\") index += 1;
    const low = pattern.charCodeAt(index);
    let high = low;
    const isRange = pattern[index + 1] === "-" && pattern[index + 2] !== "]";
    if (isRange) {
      index += pattern[index + 2] === "\\" ? 3 : 2;
      high = pattern.charCodeAt(index);
    }
    if (Number.isNaN(low) || Number.isNaN(high)) return undefined;
    tests.push((code) => code >= low && code <= high);
    index += 1;
  }
  const matches = (code: number): boolean => code !== SLASH && tests.some((test) => test(code)) !== isNegated;
  return { matches, end: index + 1 };
}

/** Follows all ways to match at once: `active` holds the tokens that may come next. */
function matchesTokens(tokens: readonly Token[], text: string): boolean {
  let active = new Set<number>();
  enter(tokens, active, 0);
  for (let index = 0; index < text.length && active.size > 0; index++) {
    const code = text.charCodeAt(index);
    const next = new Set<number>();
    for (const at of active) {
      const token = tokens[at];
      if (token === undefined) continue;
      if (token.kind === "one") {
        if (token.matches(code)) enter(tokens, next, at + 1);
      } else if (token.kind === "star") {
        if (token.crossesFolders || code !== SLASH) enter(tokens, next, at);
      } else {
        next.add(at);
        if (code === SLASH) enter(tokens, next, at + 1);
      }
    }
    active = next;
  }
  return active.has(tokens.length);
}

function enter(tokens: readonly Token[], active: Set<number>, at: number): void {
  active.add(at);
  const kind = tokens[at]?.kind;
  if (kind === "star" || kind === "folders") enter(tokens, active, at + 1);
}
