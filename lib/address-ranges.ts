/** Ranges of IP addresses, as settings contain them: `203.0.113.0/24`, `2001:db8::/32`, or one address. */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { ConfigError } from "./errors.ts";

export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6;

export interface AddressRange {
  /** An address in the range, as it was written. */
  readonly address: string;
  readonly prefixBits: number;
}

/** More than an allow list contains, and less than what AWS accepts in a resource policy of 8 KiB. */
const MAX_RANGES = 150;

/**
 * @param texts - One range each.
 * @throws {ConfigError} Names the one that is wrong, as the end of a sentence that begins with the setting.
 */
export function parseAddressRanges(texts: readonly string[]): AddressRange[] {
  if (texts.length > MAX_RANGES) throw new ConfigError(`contains more than ${MAX_RANGES} ranges`);
  return texts.map(parseRange);
}

/**
 * @param text - The word, or ranges separated by commas.
 * @param word - The setting's word for no list.
 * @returns Empty for the word.
 * @throws {ConfigError} Names the one that is wrong, as the end of a sentence that begins with the setting.
 */
export function parseAddressSetting(text: string, word: "any" | "none" = "any"): AddressRange[] {
  return text.trim() === word ? [] : parseAddressRanges(text.split(","));
}

export function formatAddressRange({ address, prefixBits }: AddressRange): string {
  return `${address}/${prefixBits}`;
}

/**
 * An IPv4-mapped IPv6 address becomes the IPv4 address in it.
 * @returns `undefined` for text that is no IP address. A zone (`%eth0`) is dropped.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  // ipaddr.js alone would also accept octal and short forms of IPv4, which resolvers read differently.
  if (isIP(text) === 0 || IPV4_COMPATIBLE.test(text)) return undefined;
  return ipaddr.process(text);
}

/** `::192.0.2.1`, deprecated by RFC 4291, section 2.5.5.1. ipaddr.js takes it for IPv4-mapped, which it is not. */
const IPV4_COMPATIBLE = /^::\d+\./;

function parseRange(text: string): AddressRange {
  const [address = "", prefix, ...more] = text.trim().split("/");
  const version = isIP(address);
  const maxBits = version === 4 ? 32 : 128;
  const prefixBits = prefix === undefined ? maxBits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (
    version === 0 ||
    address.includes("%") ||
    IPV4_COMPATIBLE.test(address) ||
    more.length > 0 ||
    !(prefixBits <= maxBits)
  ) {
    throw new ConfigError(
      `contains "${text.slice(0, 100)}", which is not a range of addresses such as 203.0.113.0/24 or 2001:db8::/32`,
    );
  }
  return { address, prefixBits };
}

/** @returns Whether an address is in one of the ranges. A range of IPv6 contains no IPv4 address, not even in its IPv6 form. */
export function addressMatcher(ranges: readonly AddressRange[]): (address: string) => boolean {
  const parsed = ranges.map(({ address, prefixBits }) => ({ first: ipaddr.parse(address), prefixBits }));
  return (text) => {
    const address = parseIpAddress(text);
    if (address === undefined) return false;
    return parsed.some(
      ({ first, prefixBits }) => first.kind() === address.kind() && address.match(first, prefixBits),
    );
  };
}
