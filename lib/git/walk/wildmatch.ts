/**
 * Matches paths against patterns with `*`, `?`, `[…]` and `**`, in time bounded by the product of their lengths: patterns
 * come from outside. Strings hold a byte in each character.
 * Source: gitignore(5), "PATTERN FORMAT".
 */
const SLASH = 0x2f;

/** Tokens: a character's code up to 255, then these, then brackets by their place in a list. */
const ANY_CHARACTER = 256;
/** Any characters but slashes, or none. */
const STAR = 257;
/** The same with slashes. */
const CROSSING_STAR = 258;
/** Nothing, or whole folders with the slash behind them. */
const FOLDERS = 259;
const FIRST_BRACKET = 260;

/** Counts the work of matching: a step is a token held against a character, some 10 ns. */
export interface MatchSteps {
  /** @throws Too many. */
  add(steps: number): void;
}

/** What a call costs beside the tokens that it holds against characters. */
const CALL_STEPS = 4;

interface Tokens {
  readonly codes: Uint32Array;
  readonly brackets: readonly Bracket[];
}

/** @returns `undefined` if the pattern can match nothing, such as one with an open bracket. */
export function compileWildmatch(pattern: string): Wildmatch | undefined {
  const tokens = parseTokens(pattern);
  return tokens && new Wildmatch(tokens);
}

/**
 * Most patterns are literal text with at most one star, and compared as strings. Of others the literal text at both ends is,
 * and what is between follows all ways to match at once.
 */
export class Wildmatch {
  readonly #prefix: string;
  readonly #suffix: string;
  /** Between the two. */
  readonly #middle: Tokens;

  constructor({ codes, brackets }: Tokens) {
    let start = 0;
    while (start < codes.length && (codes[start] as number) < ANY_CHARACTER) start++;
    let end = codes.length;
    while (end > start && (codes[end - 1] as number) < ANY_CHARACTER) end--;
    this.#prefix = String.fromCharCode(...codes.subarray(0, start));
    this.#suffix = String.fromCharCode(...codes.subarray(end));
    this.#middle = { codes: codes.slice(start, end), brackets };
  }

  matches(text: string, steps: MatchSteps): boolean {
    steps.add(CALL_STEPS);
    const start = this.#prefix.length;
    const end = text.length - this.#suffix.length;
    const { codes } = this.#middle;
    if (codes.length === 0) return text === this.#prefix;
    if (end < start || !text.startsWith(this.#prefix) || !text.endsWith(this.#suffix)) return false;
    if (codes.length === 1 && codes[0] === CROSSING_STAR) return true;
    if (codes.length === 1 && codes[0] === STAR) {
      const slash = text.indexOf("/", start);
      return slash < 0 || slash >= end;
    }
    return matchesTokens(this.#middle, text.slice(start, end), steps);
  }
}

function parseTokens(pattern: string): Tokens | undefined {
  const codes: number[] = [];
  const brackets: Bracket[] = [];
  for (let index = 0; index < pattern.length; ) {
    const char = pattern.charAt(index);
    if (char === "*") {
      let starsEnd = index + 1;
      while (pattern[starsEnd] === "*") starsEnd++;
      const isWhole = (index === 0 || pattern[index - 1] === "/") && starsEnd - index === 2;
      const next = pattern[starsEnd];
      const isFolders = isWhole && next === "/";
      codes.push(isFolders ? FOLDERS : isWhole && next === undefined ? CROSSING_STAR : STAR);
      index = isFolders ? starsEnd + 1 : starsEnd;
    } else if (char === "[") {
      const parsed = parseBracket(pattern, index);
      if (parsed === undefined) return undefined;
      codes.push(FIRST_BRACKET + brackets.length);
      brackets.push(parsed.bracket);
      index = parsed.end;
    } else if (char === "?") {
      codes.push(ANY_CHARACTER);
      index += 1;
    } else {
      if (char === "\\") index += 1;
      if (index === pattern.length) return undefined;
      codes.push(pattern.charCodeAt(index));
      index += 1;
    }
  }
  return { codes: Uint32Array.from(codes), brackets };
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

interface Bracket {
  matches(charCode: number): boolean;
  /** Steps that one call takes. */
  readonly steps: number;
}

/** @returns `undefined` if it is not closed or names an unknown class. */
function parseBracket(
  pattern: string,
  start: number,
): { readonly bracket: Bracket; readonly end: number } | undefined {
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
  return { bracket: { matches, steps: tests.length + 1 }, end: index + 1 };
}

const STAYED = 1;
const ENTERED = 2;

/** The tokens that may come next, each once. */
class ActiveTokens {
  readonly #codes: Uint32Array;
  readonly #places: Uint32Array;
  readonly #isIn: Uint8Array;
  length = 0;

  constructor(codes: Uint32Array) {
    this.#codes = codes;
    this.#places = new Uint32Array(codes.length + 1);
    this.#isIn = new Uint8Array(codes.length + 1);
  }

  at(index: number): number {
    return this.#places[index] as number;
  }

  /** Also what comes after it, if it may stand for nothing. */
  enter(place: number): void {
    for (let next = place; this.#isIn[next] !== ENTERED; next++) {
      this.stay(next);
      this.#isIn[next] = ENTERED;
      const code = this.#codes[next];
      if (code !== STAR && code !== CROSSING_STAR && code !== FOLDERS) return;
    }
  }

  /** Stays in the token, where what comes after it is not to be entered by that. */
  stay(place: number): void {
    if (this.has(place)) return;
    this.#isIn[place] = STAYED;
    this.#places[this.length++] = place;
  }

  has(place: number): boolean {
    return this.#isIn[place] !== 0;
  }

  clear(): void {
    for (let i = 0; i < this.length; i++) this.#isIn[this.#places[i] as number] = 0;
    this.length = 0;
  }
}

function matchesTokens({ codes, brackets }: Tokens, text: string, steps: MatchSteps): boolean {
  let active = new ActiveTokens(codes);
  let next = new ActiveTokens(codes);
  active.enter(0);
  for (let index = 0; index < text.length && active.length > 0; index++) {
    const charCode = text.charCodeAt(index);
    let stepCount = active.length;
    for (let i = 0; i < active.length; i++) {
      const place = active.at(i);
      if (place === codes.length) continue; // text is left, and no token
      const code = codes[place] as number;
      if (code === STAR || code === CROSSING_STAR) {
        if (code === CROSSING_STAR || charCode !== SLASH) next.enter(place);
      } else if (code === FOLDERS) {
        next.stay(place);
        if (charCode === SLASH) next.enter(place + 1);
      } else if (code === ANY_CHARACTER) {
        if (charCode !== SLASH) next.enter(place + 1);
      } else if (code < ANY_CHARACTER) {
        if (code === charCode) next.enter(place + 1);
      } else {
        const bracket = brackets[code - FIRST_BRACKET];
        stepCount += bracket?.steps ?? 0;
        if (bracket?.matches(charCode)) next.enter(place + 1);
      }
    }
    steps.add(stepCount);
    [active, next] = [next, active];
    next.clear();
  }
  return active.has(codes.length);
}
