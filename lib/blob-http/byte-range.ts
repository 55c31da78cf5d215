/** The part of a blob that a request asks for. Source: RFC 9110, section 14. */

export interface ByteRange {
  readonly startBytes: number;
  /** Exclusive. */
  readonly endBytes: number;
}

/**
 * @returns `undefined` if the whole is to be sent: no range, several, or what is none (all of which a server may pass over);
 *   `"unsatisfiable"` if it begins past the end.
 */
export function requestedRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | "unsatisfiable" | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  if (first === "") {
    if (Number(last) === 0 || sizeBytes === 0) return "unsatisfiable";
    return { startBytes: Math.max(0, sizeBytes - Number(last)), endBytes: sizeBytes };
  }
  const startBytes = Number(first);
  if (last !== "" && Number(last) < startBytes) return undefined;
  if (startBytes >= sizeBytes) return "unsatisfiable";
  return { startBytes, endBytes: last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1) };
}
