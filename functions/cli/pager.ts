/** Long text on a terminal, a screen at a time, as git and gh show it. */
import { spawnSync } from "node:child_process";

/** As git: less ends where all fits, passes on colours, and leaves the text on the screen. */
const LESS_OPTIONS = "FRX";

export interface PagerOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Lines of the terminal; `undefined` where there is none. */
  readonly rows: number | undefined;
}

/** @returns Whether a pager has shown it. Not where the text fits, without a terminal, or where `PAGER` is empty or `cat`. */
export function showPaged(text: string, { env, rows }: PagerOptions): boolean {
  const pager = env["NEARSIDE_PAGER"] ?? env["PAGER"] ?? "less";
  if (rows === undefined || pager === "" || pager === "cat" || text.split("\n").length < rows) return false;
  const shown = spawnSync(pager, {
    ...{ shell: true, input: `${text}\n`, stdio: ["pipe", "inherit", "inherit"] },
    env: { ...env, LESS: env["LESS"] ?? LESS_OPTIONS },
  });
  // The shell's own codes for a program that is not there, or cannot run.
  return shown.error === undefined && shown.status !== 127 && shown.status !== 126;
}
