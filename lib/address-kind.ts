/**
 * Classifies IP addresses. A host name may resolve to any address, so the address decides, not the name.
 * Source: the special-purpose address registries of IANA (RFC 6890), by ipaddr.js.
 */
import ipaddr from "ipaddr.js";
import { addressMatcher, type IpAddress, parseAddressRanges, parseIpAddress } from "./address-ranges.ts";

/** `forbidden`: metadata services of clouds, link-local, multicast, reserved; or IPv6 that contains an IPv4 address. */
export type AddressKind = "public" | "private" | "loopback" | "forbidden";

/** Services that hand out credentials to whatever runs on a machine. Some have private or even public addresses. */
const isCloudMetadata = addressMatcher(
  parseAddressRanges([
    // AWS: EC2, ECS tasks, EKS pod identity.
    ...["169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"],
    // Google Cloud; 169.254.169.254 as well.
    "fd20:ce::254",
    // Azure's WireServer.
    "168.63.129.16",
    // Alibaba Cloud, Oracle Cloud.
    ...["100.100.100.200", "192.0.0.192"],
  ]),
);

/** IPv6 that is routed. Source: IANA, IPv6 Global Unicast Address Space. */
const isGlobalUnicast = addressMatcher(parseAddressRanges(["2000::/3"]));

const PRIVATE_RANGES: ReadonlySet<string> = new Set(["private", "carrierGradeNat", "uniqueLocal"]);

export function addressKind(text: string): AddressKind {
  // A zone makes an address local to a link.
  const address = text.includes("%") ? undefined : parseIpAddress(text);
  if (address === undefined || isCloudMetadata(text)) return "forbidden";
  const range = address.range();
  if (range === "loopback") return "loopback";
  if (PRIVATE_RANGES.has(range)) return "private";
  if (range === "unicast") return isIpv4(address) || isGlobalUnicast(text) ? "public" : "forbidden";
  // What DNS64 makes of a receiver that has only IPv4. Source: RFC 6052, section 2.1.
  if (!isIpv4(address) && range === "rfc6052") return kindOfNat64(address);
  return "forbidden";
}

/** Never private or loopback: the gateway's network is not this one's. */
function kindOfNat64(address: ipaddr.IPv6): AddressKind {
  const bytes = address.toByteArray();
  const isWellKnownPrefix = ipaddr.IPv6.parse("64:ff9b::").match(address, 96);
  const embedded = ipaddr.fromByteArray(bytes.slice(12)).toString();
  return isWellKnownPrefix && addressKind(embedded) === "public" ? "public" : "forbidden";
}

function isIpv4(address: IpAddress): address is ipaddr.IPv4 {
  return address.kind() === "ipv4";
}
