/** Which files are copied: the settings `lfs`, `lfsMaxFileMib` and `lfsRepositories`. */
import { matchesGlob } from "../mirror/selection.ts";

/** `tips`: what branches and tags need; the rest when it is first asked for. */
export type LfsCopyPolicy = "tips" | "all" | "none";

export interface LfsPolicy {
  readonly copies: LfsCopyPolicy;
  /** Larger files stay at the primary. */
  readonly maxFileBytes: number;
  /** Patterns of `workspace/repository`; those with `!` in front leave out. */
  readonly repositories: readonly string[];
}

export interface LfsSettings {
  readonly lfs: LfsCopyPolicy;
  readonly lfsMaxFileMib: number;
  readonly lfsRepositories: string;
}

export function lfsPolicy({ lfs, lfsMaxFileMib, lfsRepositories }: LfsSettings): LfsPolicy {
  return { copies: lfs, maxFileBytes: lfsMaxFileMib * 2 ** 20, repositories: lfsRepositories.split(",") };
}

/** @param fullName - `workspace/repository`. */
export function copyPolicyOf({ copies, repositories }: LfsPolicy, fullName: string): LfsCopyPolicy {
  const isNamed = (pattern: string) => matchesGlob(pattern, fullName);
  const isLeftOut = repositories.some((one) => one.startsWith("!") && isNamed(one.slice(1)));
  const included = repositories.filter((one) => !one.startsWith("!"));
  return !isLeftOut && (included.length === 0 || included.some(isNamed)) ? copies : "none";
}
