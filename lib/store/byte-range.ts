/** Ranges inside blobs, checked alike by every store. */

/** @throws {RangeError} The numbers are no range, whatever the blob: negative, fractional or too large. */
export function assertRange(key: string, offsetBytes: number, lengthBytes: number): void {
  if (
    !Number.isSafeInteger(offsetBytes + lengthBytes) ||
    !Number.isSafeInteger(offsetBytes) ||
    offsetBytes < 0 ||
    lengthBytes < 0
  ) {
    throw outOfRange(key, offsetBytes, lengthBytes);
  }
}

/** @throws {RangeError} The range is not inside a blob of `sizeBytes`. */
export function assertRangeInside(
  key: string,
  offsetBytes: number,
  lengthBytes: number,
  sizeBytes: number,
): void {
  assertRange(key, offsetBytes, lengthBytes);
  if (offsetBytes + lengthBytes > sizeBytes) throw outOfRange(key, offsetBytes, lengthBytes, sizeBytes);
}

/**
 * The length that `readUpTo` gives on a blob of `sizeBytes`.
 * @throws {RangeError} Nothing is there to read.
 */
export function lengthUpToEnd(key: string, offsetBytes: number, maxBytes: number, sizeBytes: number): number {
  assertRange(key, offsetBytes, maxBytes);
  if (maxBytes === 0 || offsetBytes >= sizeBytes) throw outOfRange(key, offsetBytes, maxBytes, sizeBytes);
  return Math.min(maxBytes, sizeBytes - offsetBytes);
}

export function outOfRange(
  key: string,
  offsetBytes: number,
  lengthBytes: number,
  sizeBytes?: number,
): RangeError {
  const size = sizeBytes === undefined ? "" : ` of ${sizeBytes} bytes`;
  return new RangeError(`${lengthBytes} bytes from ${offsetBytes} are not inside blob ${key}${size}`);
}
