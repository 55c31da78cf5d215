import { expect, test } from "vitest";
import { readNamedAccount } from "../../../functions/local/secrets.ts";
import { ConfigError } from "../../../lib/errors.ts";

test("the account that is called environment must be in the environment; only without a name there is none", () => {
  expect(readNamedAccount({}, undefined)).toEqual({ kind: "none" });
  expect(() => readNamedAccount({}, "environment")).toThrow(/"environment"; set BITBUCKET_EMAIL/);
  expect(() => readNamedAccount({ BITBUCKET_API_TOKEN: "" }, "environment")).toThrow(ConfigError);
  expect(() => readNamedAccount({ BITBUCKET_EMAIL: "a@b.example" }, "environment")).toThrow(/set both/);
  expect(readNamedAccount({ BITBUCKET_ACCESS_TOKEN: "t" }, "environment")).toEqual({
    kind: "access-token",
    token: "t",
  });
});
