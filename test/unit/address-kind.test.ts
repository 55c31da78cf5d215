import { expect, test } from "vitest";
import { type AddressKind, addressKind } from "../../lib/address-kind.ts";

test.each<[AddressKind, readonly string[]]>([
  ["public", ["1.1.1.1", "104.192.136.1", "2401:1d80:321c::1", "::ffff:1.1.1.1"]],
  ["loopback", ["127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]],
  [
    "private",
    ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:a00:1"],
  ],
  [
    "forbidden",
    [
      ...["169.254.169.254", "169.254.170.2", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1"],
      ...[
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
      ],
      ...["::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "fec0::1", "localhost", ""],
    ],
  ],
])("%s addresses are recognized", (kind, addresses) => {
  for (const address of addresses) expect([address, addressKind(address)]).toEqual([address, kind]);
});

test.each([
  ["AWS, EC2", ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "FD00:EC2:0:0::254"]],
  ["AWS, ECS and EKS", ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"]],
  ["Google Cloud", ["fd20:ce::254"]],
  ["Azure", ["168.63.129.16", "::ffff:168.63.129.16", "::ffff:a83f:8110", "64:ff9b::168.63.129.16"]],
  ["Alibaba and Oracle Cloud", ["100.100.100.200", "192.0.0.192"]],
])("metadata services of %s are forbidden, whatever range they are in", (_, addresses) => {
  for (const address of addresses) expect([address, addressKind(address)]).toEqual([address, "forbidden"]);
});

test.each<[AddressKind, string, readonly string[]]>([
  ["public", "IPv4-mapped", ["::ffff:104.192.136.1", "::FFFF:68c0:8801", "0:0:0:0:0:ffff:1.1.1.1"]],
  ["private", "IPv4-mapped", ["::ffff:10.0.0.1", "::ffff:c0a8:101"]],
  ["loopback", "IPv4-mapped", ["::ffff:127.0.0.1", "0000:0000:0000:0000:0000:ffff:7f00:0001"]],
  ["forbidden", "IPv4-mapped", ["::ffff:0.0.0.0", "::ffff:224.0.0.1", "::ffff:255.255.255.255"]],
  // A network with IPv6 only reaches receivers that have only IPv4 by these.
  ["public", "NAT64", ["64:ff9b::104.192.136.1", "64:ff9b::101:101"]],
  ["forbidden", "NAT64", ["64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254"]],
  ["forbidden", "NAT64 of a network's own", ["64:ff9b:1::101:101", "64:ff9b:1:ffff::1.1.1.1"]],
  ["forbidden", "6to4", ["2002:101:101::1", "2002:a00:1::1", "2002:a9fe:a9fe::"]],
  [
    "forbidden",
    "IPv4-compatible and translated",
    ["::1.1.1.1", "0:0:0:0:0:0:1.1.1.1", "::101:101", "::ffff:0:1.1.1.1", "::10.0.0.1"],
  ],
  ["forbidden", "Teredo", ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"]],
])("%s: %s addresses", (kind, _, addresses) => {
  for (const address of addresses) expect([address, addressKind(address)]).toEqual([address, kind]);
});

test.each(["0177.0.0.1", "0x7f.1", "127.1", "2130706433", "1.1.1.1.", " 1.1.1.1", "1.1.1.1/32", "[::1]"])(
  "%j is no IP address in its full form, and forbidden",
  (text) => {
    expect(addressKind(text)).toBe("forbidden");
  },
);
