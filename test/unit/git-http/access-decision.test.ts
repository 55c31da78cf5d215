import { expect, test } from "vitest";
import {
  type AccessDecision,
  formatDecision,
  parseDecision,
  refusalResponse,
} from "../../../lib/git-http/access-decision.ts";
import type { Service } from "../../../lib/git-http/route.ts";
import { addressBlock } from "../../../lib/http/address-block.ts";
import type { RepositoryReference } from "../../../lib/repo/names.ts";
import { readResponse } from "../../support/http-request.ts";

const ASKED: { service: Service; repository: RepositoryReference } = {
  service: "info-refs",
  repository: { kind: "name", workspace: "acme", slug: "site" },
};

test.each<AccessDecision>([
  { kind: "allowed" },
  { kind: "allowed", primaryPath: "acme/site", staleSeconds: 12 },
  { kind: "refused", status: 401, text: "Bitbucket says: “né” \u{1f600}" },
  { kind: "refused", status: 503, text: "away", retryAfterSeconds: 10 },
])("%j travels as ASCII", (decision) => {
  const text = formatDecision(decision, ASKED);
  expect(text).toMatch(/^[\x20-\x7e]+$/);
  expect(parseDecision(text, ASKED)).toEqual(decision);
});

test.each([
  undefined,
  null,
  "",
  "{",
  "null",
  "{}",
  '{"kind":"allowed","more":1}',
  '{"kind":"refused","status":200,"text":""}',
])("%j lets nothing pass", (text) => {
  expect(() => parseDecision(text, ASKED)).toThrow();
});

test.each([
  ["203.0.113.9", "203.0.113.9"],
  ["::ffff:203.0.113.9", "203.0.113.9"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1"],
  ["2001:0DB8::1", "2001:db8:0"],
  ["::1", "0:0:0"],
  ["fe80::1%eth0", "fe80:0:0"],
  [undefined, "unknown"],
])("%s counts as %s", (address, block) => {
  expect(addressBlock(address)).toBe(block);
});

test("fields of a newer release are ignored, and a kind of it lets nothing pass", () => {
  const { about } = JSON.parse(formatDecision({ kind: "allowed" }, ASKED)) as { about: string };
  const newer = (decision: object) => JSON.stringify({ about, decision, inNewerRelease: 1 });
  const allowed = { kind: "allowed", primaryPath: "acme/site" } as const;
  expect(parseDecision(newer({ ...allowed, inNewerRelease: 1 }), ASKED)).toEqual(allowed);
  expect(() => parseDecision(newer({ ...allowed, kind: "allowed-in-part" }), ASKED)).toThrow();
});

test("a decision is for one service of one repository", () => {
  const text = formatDecision({ kind: "allowed" }, ASKED);
  expect(() => parseDecision(text, { ...ASKED, service: "upload-pack" })).toThrow("another request");
  const other: RepositoryReference = { kind: "project", projectKey: "acme", slug: "site" };
  expect(() => parseDecision(text, { ...ASKED, repository: other })).toThrow("another request");
  expect(() => parseDecision('{"kind":"allowed"}', ASKED)).toThrow();
});

test("a refusal asks for a credential, says when to come back, and reveals nothing of what is not found", async () => {
  const refuse = (decision: object) =>
    readResponse(refusalResponse({ kind: "refused", status: 503, text: "some reason", ...decision }));
  const challenge = 'Basic realm="Nearside mirror of Bitbucket"';
  const unauthorized = await refuse({ status: 401 });
  expect(unauthorized).toMatchObject({ status: 401, text: "some reason\n" });
  expect(unauthorized.headers).toMatchObject({
    "www-authenticate": challenge,
    "lfs-authenticate": challenge,
    "cache-control": "no-cache, max-age=0, must-revalidate",
  });
  expect(unauthorized.headers).not.toHaveProperty("retry-after");
  const away = await refuse({ retryAfterSeconds: 0 });
  expect(away).toMatchObject({ status: 503, text: "some reason\n", headers: { "retry-after": "0" } });
  expect(away.headers).not.toHaveProperty("www-authenticate");
  const missing = await refuse({ status: 404, retryAfterSeconds: 5 });
  expect(missing).toMatchObject({ status: 404, text: expect.stringContaining("not found") });
  expect(missing.text).not.toContain("reason");
  expect(missing.headers).not.toHaveProperty("retry-after");
});
