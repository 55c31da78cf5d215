/** What one check of `nearside doctor` has found. */
import { explanationOf } from "../explain.ts";
import { visible } from "../table.ts";
import { checkOf, commandOf, DOCTOR_CHECKS } from "./checks.ts";

export interface Finding {
  /** `store: write`, `acme: webhook`. */
  readonly check: string;
  /** `skipped`: it does not apply here; the detail says why. */
  readonly status: "ok" | "fail" | "skipped";
  readonly detail: string;
  /** Of a failure: what to do next. */
  readonly advice?: string;
  /** Of a failure: what mends it, in place of the check's own command. */
  readonly command?: string;
  /** Of a failure: a deployment with these settings cannot succeed. */
  readonly blocksDeployment?: true;
  /** What `--fix` has done. */
  readonly fixed?: string;
}

const LABELS = { ok: "OK  ", fail: "FAIL", skipped: "SKIP" } as const;

export function ok(check: string, detail: string): Finding {
  return { check, status: "ok", detail };
}

export function skipped(check: string, detail: string): Finding {
  return { check, status: "skipped", detail };
}

export function fail(check: string, detail: string, advice: string): Finding {
  return { check, status: "fail", detail, advice };
}

/** @param fallback - The advice where the error itself has none. */
export function failedWith(check: string, error: unknown, fallback: string): Finding {
  if (!(error instanceof Error)) return fail(check, String(error), fallback);
  const { text, advice } = explanationOf(error);
  return fail(check, text, advice ?? fallback);
}

export function describe({ check: name, status, detail, advice, command: own }: Finding): string {
  const line = `${LABELS[status]} ${visible(name)}: ${visible(detail)}`;
  const command = status === "fail" ? (own ?? commandOf(name)) : undefined;
  const more = [advice, command === undefined ? undefined : `  ${command}`];
  return [line, ...more.flatMap((text) => (text === undefined ? [] : [`     ${visible(text)}`]))].join("\n");
}

/** For `--json`. */
export function withCheck(finding: Finding) {
  const id = checkOf(finding.check);
  if (id === undefined) return finding;
  const { title, cause } = DOCTOR_CHECKS[id];
  if (finding.status !== "fail") return { ...finding, id, title };
  return { ...finding, id, title, cause, command: finding.command ?? commandOf(finding.check) };
}
