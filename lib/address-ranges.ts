/** Ranges of IP addresses as settings write them: `203.0.113.0/24`, `2001:db8::/32`, or one address. */
import { BlockList, isIP } from "node:net";
import { ConfigError } from "./errors.ts";

export interface AddressRange {
  readonly address: string;
  readonly prefixBits: number;
  readonly family: "ipv4" | "ipv6";
}

/** More than an allow list ever has, and less than what AWS takes in a resource policy of 8 KiB. */
const MAX_RANGES = 150;

/**
 * @param texts - One range each.
 * @throws {ConfigError} Names the one that is wrong.
 */
export function parseAddressRanges(texts: readonly string[]): AddressRange[] {
  if (texts.length > MAX_RANGES) throw new ConfigError(`more than ${MAX_RANGES} ranges of addresses`);
  return texts.map(parseRange);
}

export function formatAddressRange({ address, prefixBits }: AddressRange): string {
  return `${address}/${prefixBits}`;
}

function parseRange(text: string): AddressRange {
  const [address = "", prefix, ...more] = text.trim().split("/");
  const version = isIP(address);
  const maxBits = version === 4 ? 32 : 128;
  const prefixBits = prefix === undefined ? maxBits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (version === 0 || address.includes("%") || more.length > 0 || !(prefixBits <= maxBits)) {
    throw new ConfigError(`not a range of addresses, such as 203.0.113.0/24 or 2001:db8::/32: ${text}`);
  }
  return { address, prefixBits, family: version === 4 ? "ipv4" : "ipv6" };
}

/** @returns Whether an address lies in one of the ranges; IPv4 addresses in IPv6 form count as what they are. */
export function addressMatcher(ranges: readonly AddressRange[]): (address: string) => boolean {
  const list = new BlockList();
  for (const { address, prefixBits, family } of ranges) list.addSubnet(address, prefixBits, family);
  return (address) => {
    const version = isIP(address);
    return version !== 0 && list.check(address, version === 4 ? "ipv4" : "ipv6");
  };
}
