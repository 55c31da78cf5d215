import { describe, expect, test } from "vitest";
import { parseAddressRanges } from "../../../lib/address-ranges.ts";
import { clientAddressFrom } from "../../../lib/http/client-address.ts";

const PROXY = "10.0.0.7";
const behind = clientAddressFrom(parseAddressRanges(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]));
const forwardedFor = (list: string, from = PROXY) => behind(from, { "x-forwarded-for": list });

describe("X-Forwarded-For", () => {
  test.each([
    ["one proxy", "203.0.113.9", "203.0.113.9"],
    ["a client that made up another", "198.51.100.1, 203.0.113.9", "203.0.113.9"],
    ["two proxies", "198.51.100.1, 203.0.113.9 ,192.0.2.1", "203.0.113.9"],
    ["only proxies", "10.1.1.1, 10.2.2.2", "10.1.1.1"],
    ["a port", "203.0.113.9:4711", "203.0.113.9"],
    ["IPv6", "2001:db8::9", "2001:db8::9"],
    ["IPv6 with a port", "[2001:db8::9]:4711", "2001:db8::9"],
    ["IPv4 in IPv6", "::ffff:203.0.113.9", "203.0.113.9"],
    ["what is no address", "203.0.113.9, unknown", PROXY],
    ["nonsense behind a proxy", "evil, 10.3.3.3", "10.3.3.3"],
    ["nothing", "", PROXY],
  ])("%s", (_, list, address) => {
    expect(forwardedFor(list)).toBe(address);
  });

  test("of a client that is no proxy counts nothing", () => {
    expect(forwardedFor("203.0.113.9", "198.51.100.77")).toBe("198.51.100.77");
    expect(clientAddressFrom([])(PROXY, { "x-forwarded-for": "203.0.113.9" })).toBe(PROXY);
  });

  test("a long list costs little", () => {
    expect(forwardedFor(Array(5_000).fill("10.1.1.1").join(","))).toBe("10.1.1.1");
  });
});

test.each([
  ["for=203.0.113.9", "203.0.113.9"],
  ["for=198.51.100.1, For=203.0.113.9;proto=https;by=10.0.0.7", "203.0.113.9"],
  ['proto=https;for="[2001:db8::9]:4711"', "2001:db8::9"],
  ['for="203.0.113.9:4711", for=192.0.2.1', "203.0.113.9"],
  ["for=_hidden", PROXY],
  ["proto=https", PROXY],
])("Forwarded: %s", (forwarded, address) => {
  expect(behind(PROXY, { forwarded })).toBe(address);
});

test("X-Forwarded-For counts where a client sends Forwarded through a proxy that sets the other one", () => {
  const headers = { forwarded: "for=198.51.100.1", "x-forwarded-for": "203.0.113.9" };
  expect(behind(PROXY, headers)).toBe("203.0.113.9");
});
