import { describe, expect, test } from "vitest";
import { TierKeys, type TierRequest } from "../../../lib/git-http/tier-token.ts";

const KEY = "k".repeat(32);
const NOW_MS = 1_000_000;

const requestFrom = (remoteAddress: string | undefined): TierRequest => ({
  repository: { kind: "name", workspace: "acme", slug: "sample" },
  authorization: undefined,
  remoteAddress,
});

function read(from: string | undefined, at: string | undefined, bindsNetwork?: boolean): unknown {
  const token = new TierKeys(KEY, bindsNetwork).sign(requestFrom(from), { kind: "allowed" }, "{u}", NOW_MS);
  return new TierKeys(KEY).read(token, { ...requestFrom(at), service: "upload-pack" }, NOW_MS);
}

describe("a token", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["192.0.2.7", "192.0.2.200"],
    ["192.0.2.7", "::ffff:192.0.2.8"],
    // On AWS the tier has no IPv6.
    ["2001:db8::1", "192.0.2.7"],
    ["2001:db8:0:7::1", "2001:db8:0:7:ffff::2"],
    [undefined, "192.0.2.7"],
  ])("given to %s is accepted from %s", (from, at) => {
    expect(read(from, at)).toEqual({ kind: "allowed", uuid: "{u}" });
  });

  test.each([
    ["192.0.2.7", "192.0.3.7"],
    ["192.0.2.7", "19.0.2.7"],
    ["192.0.2.7", "2001:db8::1"],
    ["192.0.2.7", undefined],
    ["2001:db8:0:7::1", "2001:db8:0:8::1"],
    ["2001:db8:0:7::1", undefined],
  ])("given to %s is refused from %s, unless it is for any network", (from, at) => {
    expect(read(from, at)).toBe("other-network");
    expect(read(from, at, false)).toEqual({ kind: "allowed", uuid: "{u}" });
  });
});
