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

/**
 * @param text - `any`, or ranges with commas between them.
 * @returns None for `any`.
 * @throws {ConfigError} Names the one that is wrong.
 */
export function parseAddressSetting(text: string): AddressRange[] {
  return text.trim() === "any" ? [] : parseAddressRanges(text.split(","));
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

/**
 * @returns Whether an address lies in one of the ranges; IPv4 addresses in IPv6 form count as what they are, and no range of
 *   IPv6 has any.
 */
export function addressMatcher(ranges: readonly AddressRange[]): (address: string) => boolean {
  // Two lists: one alone takes an IPv4 address for its IPv6 form, which ::/0 has.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const { address, prefixBits, family } of ranges) lists[family].addSubnet(address, prefixBits, family);
  return (address) => {
    const plain = unmapped(address);
    const version = isIP(plain);
    if (version === 0) return false;
    const family = version === 4 ? "ipv4" : "ipv6";
    return lists[family].check(plain, family);
  };
}

/** Of `::ffff:192.0.2.1`, and of `::ffff:c000:201`, which is the same. */
function unmapped(address: string): string {
  const tail = /^(?:::|(?:0{1,4}:){5})ffff:(.+)$/i.exec(address)?.[1];
  if (tail === undefined) return address;
  const groups = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(tail)?.slice(1);
  if (groups === undefined) return isIP(tail) === 4 ? tail : address;
  return groups
    .map((group) => Number.parseInt(group, 16))
    .flatMap((bits) => [bits >> 8, bits & 0xff])
    .join(".");
}
