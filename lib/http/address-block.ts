/** Which addresses count as one caller. */
import { isIPv6 } from "node:net";

/**
 * @param ipv6Groups - Of 16 bits.
 * @returns The address itself; of IPv6 the /48, which is what a site may have.
 */
export function addressBlock(address: string | undefined, ipv6Groups = 3): string {
  if (address === undefined) return "unknown";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.toLowerCase().split("%")[0]?.split("::") ?? [];
  const groups = head === "" ? [] : head.split(":");
  const tailCount = tail === undefined || tail === "" ? 0 : tail.split(":").length;
  while (tail !== undefined && groups.length < 8 - tailCount) groups.push("0");
  return groups
    .slice(0, ipv6Groups)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}
