import { expect, test } from "vitest";
import { parseAccount } from "../../../lib/bitbucket/credential.ts";
import { reportExpiry, tokenExpiry } from "../../../lib/bitbucket/token-expiry.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";

const NOW = new Date("2026-11-30T12:00:00Z");

test.each([
  ["2026-11-29", -2, true],
  ["2026-11-30", -1, true],
  ["2026-12-31", 30, true],
  ["2027-01-01", 31, false],
])("a token that ends on %s: %i days left, soon: %s", (expires, daysLeft, isSoon) => {
  const account = parseAccount(JSON.stringify({ email: "a@example.com", token: "t", expires }));
  expect(account).toEqual({ kind: "api-token", email: "a@example.com", token: "t", expires });
  expect(account && tokenExpiry(account, NOW.getTime())).toEqual({ expires, daysLeft, isSoon });
});

test("the end may be unknown; what is no date is reported, and stops nothing else", () => {
  for (const account of [{ kind: "none" }, { kind: "access-token", token: "t" }] as const)
    expect(tokenExpiry(account, NOW.getTime())).toBeUndefined();
  for (const expires of ["soon", "2027-13-01", "2027-1-1"]) {
    const account = parseAccount(JSON.stringify({ token: "t", expires }));
    expect(account && tokenExpiry(account, NOW.getTime())).toEqual({
      expires,
      daysLeft: undefined,
      isSoon: true,
    });
  }
  for (const expires of [2027, ""])
    expect(parseAccount(JSON.stringify({ token: "t", expires }))).toBeUndefined();
});

test("what ends soon is logged and counted with its credential's name, and what does not is not", async () => {
  const lines: unknown[][] = [];
  const log = { ...SILENT_LOGGER, warn: (...line: unknown[]) => void lines.push(line) };
  const [workspace] = mirrorConfigOf([{ workspace: "acme", projects: "all", credential: "bot" }]).workspaces;
  if (workspace === undefined) throw new Error("no workspace");
  for (const expires of ["2027-11-30", "2026-12-10"]) {
    const accountOf = async () => ({ kind: "access-token", token: "secret", expires }) as const;
    await reportExpiry({ accountOf, log, now: () => NOW })(workspace);
  }
  const fields = { workspace: "acme", credential: "bot", expires: "2026-12-10", daysLeft: 9 };
  expect(lines).toEqual([["account:token-ends", fields, { TokensEnding: 1 }]]);
});
