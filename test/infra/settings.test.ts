import { App } from "aws-cdk-lib";
import { expect, test } from "vitest";
import { readSettings } from "../../infra/settings.ts";
import { ENV } from "../../lib/setting-names.ts";

test.each([
  [{ publicAccess: "allow-anyone" }, "no setting any more"],
  [{ credentialParameter: "/nearside/bitbucket" }, "see secretPath"],
  [{ publicRepositories: "skip" }, "see config.json"],
  [{ secretPath: "nearside" }, "must begin and end with a slash"],
  [{ allowedAddresses: "203.0.113.0/33" }, "not a range of addresses"],
  [{ webhookAddresses: "bitbucket" }, "not a range of addresses"],
  [
    { webhookAddresses: Array(149).fill("2001:db8:1111:2222:3333:4444:5555:6666").join(",") },
    "webhookAddresses is longer than 3000 letters",
  ],
  [{ anonymous: "yes" }, "anonymous can only be allow or deny"],
  [{ push: "proxy" }, "push can only be redirect or refuse"],
  [{ wrongCredentialsPerMinute: "-1" }, "wrongCredentialsPerMinute must be a whole number from 0 to 1000000"],
  [{ staleMinutes: "1441" }, "staleMinutes must be a whole number from 0 to 1440"],
])("%j is refused", (context, text) => {
  expect(() => readSettings(new App({ context }).node)).toThrow(text);
});

test("what is set about access reaches the functions", () => {
  const context = { anonymousTotalPerMinute: "7", wrongCredentialsPerMinute: "8" };
  expect(readSettings(new App({ context }).node).accessEnvironment).toEqual({
    [ENV.anonymous]: "allow",
    [ENV.anonymousPerMinute]: "300",
    [ENV.anonymousTotalPerMinute]: "7",
    [ENV.wrongCredentialsPerMinute]: "8",
    [ENV.staleMinutes]: "15",
    [ENV.waitSeconds]: "20",
    [ENV.push]: "redirect",
    [ENV.redirectUnmirrored]: "all",
  });
});
