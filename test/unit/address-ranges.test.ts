import { expect, test } from "vitest";
import {
  addressMatcher,
  formatAddressRange,
  parseAddressRanges,
  parseAddressSetting,
} from "../../lib/address-ranges.ts";
import { onlyFrom } from "../../lib/http/allowed-addresses.ts";
import { textResponse } from "../../lib/http/error-response.ts";

const LIST = ["203.0.113.0/24", " 198.51.100.7", "2001:db8:1::/48", "::1"];

test.each([
  ["203.0.113.255", true],
  ["203.0.114.0", false],
  ["198.51.100.7", true],
  ["198.51.100.8", false],
  ["::ffff:203.0.113.9", true],
  ["::ffff:203.0.114.9", false],
  ["2001:db8:1:ffff::5", true],
  ["2001:db8:2::5", false],
  ["::1", true],
  ["not an address", false],
  ["", false],
])("%j is in the list: %j", (address, isIn) => {
  expect(addressMatcher(parseAddressRanges(LIST))(address)).toBe(isIn);
});

test("a range is written as AWS reads it", () => {
  expect(parseAddressRanges(LIST).map(formatAddressRange)).toEqual([
    "203.0.113.0/24",
    "198.51.100.7/32",
    "2001:db8:1::/48",
    "::1/128",
  ]);
});

test.each([
  "",
  "203.0.113.0/33",
  "2001:db8::/129",
  "203.0.113.0/",
  "203.0.113.0/-1",
  "203.0.113/24",
  "fe80::1%eth0/64",
  "a/8",
  "1.2.3.4/8/9",
])("%j is refused by name", (text) => {
  expect(() => parseAddressRanges([text])).toThrow(
    `contains "${text}", which is not a range of addresses such as 203.0.113.0/24 or 2001:db8::/32`,
  );
});

test("more ranges than a resource policy takes are refused", () => {
  expect(() => parseAddressRanges(Array(151).fill("203.0.113.1"))).toThrow("more than 150");
});

test("requests from elsewhere, and from nowhere, do not reach the handler", async () => {
  const handler = onlyFrom(parseAddressRanges(LIST), async () => textResponse(200, "served"));
  const statusFrom = async (remoteAddress?: string) => {
    const request = {
      method: "GET",
      path: "/",
      query: new URLSearchParams(),
      headers: {},
      signal: new AbortController().signal,
    };
    const body = (async function* () {})();
    return (await handler({ ...request, body, ...(remoteAddress !== undefined && { remoteAddress }) }))
      .status;
  };
  expect(await statusFrom("203.0.113.5")).toBe(200);
  expect(await statusFrom("203.0.114.5")).toBe(403);
  expect(await statusFrom()).toBe(403);
});

test.each([
  ["::/0", "192.0.2.1", false],
  ["::/0", "::ffff:192.0.2.1", false],
  ["::/0", "2001:db8::1", true],
  ["0.0.0.0/0", "::ffff:192.0.2.1", true],
  ["192.0.2.0/24", "::ffff:c000:201", true],
  ["192.0.2.0/24", "0:0:0:0:0:FFFF:192.0.2.1", true],
  ["0.0.0.0/0", "2001:db8::1", false],
])("a range %s lets %s in: %s", (range, address, isIn) => {
  expect(addressMatcher(parseAddressRanges([range]))(address)).toBe(isIn);
});

test("a setting is any address, or ranges with commas between them", () => {
  expect(parseAddressSetting(" any ")).toEqual([]);
  const text = "203.0.113.0/24, 2001:db8::/32";
  expect(parseAddressSetting(text).map(formatAddressRange)).toEqual(["203.0.113.0/24", "2001:db8::/32"]);
  for (const wrong of ["", "any,203.0.113.0/24", "bitbucket", "203.0.113.0/24,"]) {
    expect(() => parseAddressSetting(wrong)).toThrow("is not a range of addresses");
  }
});
