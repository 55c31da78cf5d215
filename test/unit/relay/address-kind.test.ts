import { expect, test } from "vitest";
import { type AddressKind, addressKind } from "../../../lib/relay/address-kind.ts";

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
])("%s addresses are told from others", (kind, addresses) => {
  for (const address of addresses) expect([address, addressKind(address)]).toEqual([address, kind]);
});
