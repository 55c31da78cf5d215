/**
 * The patterns of a sparse checkout, for the filter `sparse:oid=`: which paths it would have. Strings hold a byte in each
 * character, because paths need not be UTF-8.
 * Source: gitignore(5), "PATTERN FORMAT"; git-sparse-checkout(1), "INTERNALS - FULL PATTERN SET".
 */
import { createHash } from "node:crypto";
import { LimitExceededError } from "../../errors.ts";
import { WorkSlices } from "../work-slices.ts";
import { compileWildmatch, type MatchSteps, type Wildmatch } from "./wildmatch.ts";

/** A sparse checkout that people write has tens of patterns; every path of the history is held against each. */
export const MAX_SPARSE_PATTERNS = 1000;
/** Far more than anyone writes; together with the number of patterns it bounds their memory. */
const MAX_PATTERN_BYTES = 1024;

interface SparsePattern {
  readonly isNegated: boolean;
  readonly onlyFolders: boolean;
  /** Held against the name alone, at any depth. */
  readonly onlyName: boolean;
  readonly wildmatch: Wildmatch;
}

/** Of one walk, in steps of matching: a history with a million paths held against 50 patterns stays below. A few seconds. */
const MAX_MATCH_STEPS = 250_000_000;
/** Of one pattern and one path, without a pause between: some 50 ms. */
const MAX_STEPS_AT_ONCE = 5_000_000;
/** A step of matching takes a hundredth of one of `WorkSlices`. */
const MATCH_STEPS_OF_WORK = 100;

/** What matching may take in one walk. */
export class MatchBudget implements MatchSteps {
  readonly #slices: WorkSlices;
  #leftSteps: number;
  #stepsAtOnce = 0;

  constructor(slices: WorkSlices, maxSteps = MAX_MATCH_STEPS) {
    this.#slices = slices;
    this.#leftSteps = maxSteps;
  }

  add(steps: number): void {
    this.#leftSteps -= steps;
    this.#stepsAtOnce += steps;
    if (this.#leftSteps < 0 || this.#stepsAtOnce > MAX_STEPS_AT_ONCE)
      throw new LimitExceededError("the sparse filter has too much to match");
  }

  /** @returns What to await before more is matched. */
  pauseIfDue(): Promise<void> | undefined {
    const steps = this.#stepsAtOnce;
    this.#stepsAtOnce = 0;
    return this.#slices.spend(steps / MATCH_STEPS_OF_WORK);
  }
}

export class SparsePatterns {
  /** The last one first, because it decides. */
  readonly #patterns: readonly SparsePattern[];
  /** SHA-256 of the file they were read from, in hex: what stands for them. */
  readonly digest: string;

  constructor(patterns: readonly SparsePattern[], digest: string) {
    this.#patterns = patterns;
    this.digest = digest;
  }

  /**
   * @param path - Empty for the topmost folder.
   * @returns `undefined` if no pattern says anything about the path; then what holds for its folder holds for it.
   * @throws {LimitExceededError} The budget is spent. @throws {StoppedError} The reader has gone.
   */
  async includes(path: string, isFolder: boolean, budget: MatchBudget): Promise<boolean | undefined> {
    const name = path.slice(path.lastIndexOf("/") + 1);
    for (const { isNegated, onlyFolders, onlyName, wildmatch } of this.#patterns) {
      if (onlyFolders && !isFolder) continue;
      const matches = wildmatch.matches(onlyName ? name : path, budget);
      const pause = budget.pauseIfDue();
      if (pause !== undefined) await pause;
      if (matches) return !isNegated;
    }
    return undefined;
  }
}

/** Characters of patterns in a step of `WorkSlices`. */
const PARSED_A_STEP = 10;

/** @throws {LimitExceededError} Too many patterns, or one is too long. */
export async function parseSparsePatterns(
  bytes: Uint8Array,
  slices = new WorkSlices(),
): Promise<SparsePatterns> {
  const text = new TextDecoder("latin1").decode(bytes).replace(/^\u00ef\u00bb\u00bf/, "");
  const patterns: SparsePattern[] = [];
  for (const line of text.split("\n")) {
    if (slices.isDue(1 + line.length / PARSED_A_STEP)) await slices.pause();
    const pattern = parsePattern(line.replace(/\r$/, ""));
    if (pattern !== undefined) patterns.push(pattern);
    if (patterns.length > MAX_SPARSE_PATTERNS)
      throw new LimitExceededError(`sparse filter has more than ${MAX_SPARSE_PATTERNS} patterns`);
  }
  return new SparsePatterns(patterns.toReversed(), createHash("sha256").update(bytes).digest("hex"));
}

function parsePattern(line: string): SparsePattern | undefined {
  if (line === "" || line.startsWith("#")) return undefined;
  if (line.length > MAX_PATTERN_BYTES)
    throw new LimitExceededError(`sparse filter has a pattern of more than ${MAX_PATTERN_BYTES} bytes`);
  let text = withoutTrailingSpaces(line);
  const isNegated = text.startsWith("!");
  if (isNegated) text = text.slice(1);
  const onlyFolders = text.endsWith("/");
  if (onlyFolders) text = text.slice(0, -1);
  const wildmatch = compileWildmatch(text.startsWith("/") ? text.slice(1) : text);
  if (wildmatch === undefined) return undefined;
  return { isNegated, onlyFolders, onlyName: !text.includes("/"), wildmatch };
}

/** A space behind a backslash stays. */
function withoutTrailingSpaces(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === " ") end -= 1;
  const backslashes = /\\*$/.exec(line.slice(0, end))?.[0].length ?? 0;
  return line.slice(0, backslashes % 2 === 1 ? end + 1 : end);
}
