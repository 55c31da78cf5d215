/**
 * The client's address behind proxies. A proxy adds the address it was called from at the end of `X-Forwarded-For`, or of `Forwarded`,
 * so the headers are read from the right, for as long as a trusted proxy wrote them. What is further left may be anything.
 * Sources: RFC 7239; MDN, "X-Forwarded-For".
 */
import { type AddressRange, addressMatcher, parseIpAddress } from "../address-ranges.ts";

export type ClientAddress = (
  remoteAddress: string | undefined,
  headers: Readonly<Record<string, string | undefined>>,
) => string | undefined;

/** Enough for every chain of proxies. */
const MAX_HOPS = 20;

/** @param trustedProxies - None: the address of the connection is the client's. */
export function clientAddressFrom(trustedProxies: readonly AddressRange[]): ClientAddress {
  if (trustedProxies.length === 0) return (remoteAddress) => remoteAddress;
  const isTrusted = addressMatcher(trustedProxies);
  return (remoteAddress, headers) => {
    let address = remoteAddress;
    for (const hop of hopsFromRight(headers)) {
      if (address === undefined || !isTrusted(address)) return address;
      const next = addressOfHop(hop);
      // `unknown`, or an obfuscated name: the proxy that wrote it is the last address that is known.
      if (next === undefined) return address;
      address = next;
    }
    return address;
  };
}

/** A proxy that sets one of the headers must remove the other one, or set `X-Forwarded-For`, which counts if both are there. */
function hopsFromRight(headers: Readonly<Record<string, string | undefined>>): string[] {
  const { "x-forwarded-for": list, forwarded } = headers;
  const hops =
    list !== undefined
      ? list.split(",")
      : (forwarded ?? "")
          .split(",")
          .map((element) => /(?:^|;)\s*for=("[^"]*"|[^;]*)/i.exec(element)?.[1] ?? "");
  return hops.reverse().slice(0, MAX_HOPS);
}

/** Some proxies add a port. IPv6 addresses are in brackets then. */
function addressOfHop(hop: string): string | undefined {
  const text = hop.trim().replace(/^"(.*)"$/, "$1");
  const [, inBrackets] = /^\[([^\]]*)\](?::\d+)?$/.exec(text) ?? [];
  const [, beforePort] = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text) ?? [];
  return parseIpAddress(inBrackets ?? beforePort ?? text)?.toString();
}
