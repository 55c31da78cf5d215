/**
 * What kind of place an IP address is. A webhook's host may resolve to anything, so what it resolves to decides, not its name.
 * Source: the special-purpose address registries of IANA (RFC 6890).
 */
import { isIP } from "node:net";
import { addressMatcher, parseAddressRanges } from "../address-ranges.ts";

/** `forbidden`: link-local, among them the metadata services of clouds; multicast; or another address inside it. */
export type AddressKind = "public" | "private" | "loopback" | "forbidden";

const isLoopback = ranges("127.0.0.0/8", "::1");

const isPrivate = ranges("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7");

const isSpecial = ranges(
  ...["0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"],
  ...["198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
  ...["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"],
);

/** All of IPv6 that is routed; what lies outside may hold an IPv4 address. */
const isGlobal = ranges("0.0.0.0/0", "2000::/3");

export function addressKind(address: string): AddressKind {
  // With a zone it is none of the public Internet.
  if (isIP(address) === 0 || address.includes("%")) return "forbidden";
  if (isLoopback(address)) return "loopback";
  if (isPrivate(address)) return "private";
  return isGlobal(address) && !isSpecial(address) ? "public" : "forbidden";
}

function ranges(...texts: string[]): (address: string) => boolean {
  return addressMatcher(parseAddressRanges(texts));
}
