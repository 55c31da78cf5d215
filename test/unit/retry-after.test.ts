import { expect, test } from "vitest";
import { parseRetryAfter } from "../../lib/retry-after.ts";

test.each([
  ["17", 17],
  ["0", 0],
  ["3601", 3600],
  ["9".repeat(400), 3600],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["Fri, 01 Jan 2599 00:00:00 GMT", 3600],
  ["soon", undefined],
  [null, undefined],
])("Retry-After %s is %s seconds", (header, seconds) => {
  expect(parseRetryAfter(header)).toBe(seconds);
});
