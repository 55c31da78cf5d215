/** What git shows to its user, behind `remote:`. */
import { describeAge } from "../age.ts";
import type { AllowedAccess } from "./access-decision.ts";
import type { ServedSource } from "./status.ts";

export function staleNotice({ staleSeconds }: AllowedAccess): string | undefined {
  if (staleSeconds === undefined) return undefined;
  return `mirror: Bitbucket could not be asked just now; it allowed you this ${staleSeconds} s ago, and the content may be older than there\n`;
}

/** Of this request alone, though its pack may be one that was made for many. */
export function freshnessLine(
  { verifiedAt }: ServedSource,
  { staleSeconds }: AllowedAccess,
): string | undefined {
  if (verifiedAt === undefined) return undefined;
  const stale = staleSeconds === undefined ? "" : ", stale: primary unreachable";
  return `nearside: refs verified ${describeAge(Date.now() - verifiedAt.getTime())} ago${stale}\n`;
}
