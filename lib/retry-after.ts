/** When the primary wants to be asked again. Source: RFC 9110, 10.2.3. */

/** Bitbucket counts by the hour: a longer time is a mistake, and hundreds of digits are no number that JSON knows. */
const MAX_SECONDS = 3600;

/** @param header - Seconds or an HTTP date. @returns From 0 to 3,600 seconds. */
export function parseRetryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header.trim())) return clamped(Number(header));
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? undefined : clamped(Math.ceil((atMs - Date.now()) / 1000));
}

function clamped(seconds: number): number {
  return Math.min(Math.max(seconds, 0), MAX_SECONDS);
}
