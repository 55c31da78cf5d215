import { expect, test } from "vitest";
import { isSigned, workspaceSecret } from "../../../lib/webhook/signature.ts";

const BODY = new TextEncoder().encode('{"a":"\u20ac"}');
/** By openssl. */
const HEX = "8fa81bb280e07ac91c86b4ff741796a6006022c718b6541b05d24e0f4aa2cba4";

test.each([`sha256=${HEX}`, `sha256=${HEX.toUpperCase()}`, ` sha256=${HEX} `])("%j signs", (header) => {
  expect(isSigned(BODY, "key", header)).toBe(true);
  expect(isSigned(BODY, "other key", header)).toBe(false);
  expect(isSigned(BODY.subarray(1), "key", header)).toBe(false);
});

test.each([
  undefined,
  "",
  HEX,
  "sha256=",
  `sha1=${HEX}`,
  `xsha256=${HEX}`,
  `sha256=${HEX}0`,
  `sha256=${HEX.slice(1)}`,
  `sha256=${HEX.replace("8", "g")}`,
  `sha256=${HEX}, sha256=${HEX}`,
  `sha256= ${HEX}`,
])("%j does not", (header) => {
  expect(isSigned(BODY, "key", header)).toBe(false);
});

test("a workspace's secret does not change: webhooks have been made with it", () => {
  const byOpenssl = "56e5f9c13e8866fb14d3cdf00c58e44e2639e3390403f14f24ffab0d44c46d3e";
  expect(workspaceSecret("master secret", "acme-co")).toBe(byOpenssl);
  expect(workspaceSecret("master secret", "ACME-co")).toBe(byOpenssl);
  expect(workspaceSecret("master secret", "acme")).not.toBe(byOpenssl);
  expect(workspaceSecret("another", "acme-co")).not.toBe(byOpenssl);
});
