import { expect, test } from "vitest";
import { readNamedAccount } from "../../../functions/local/secrets.ts";
import { tryAccount } from "../../../functions/wiring/try-account.ts";
import { ConfigError, UpstreamError } from "../../../lib/errors.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";

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

test("what is wrong with an account is said without options of the command line: pages show it as well", async () => {
  const [workspace] = mirrorConfigOf([{ workspace: "acme", projects: "all", credential: "bot" }]).workspaces;
  if (workspace === undefined) throw new Error("no workspace");
  const rejected = new UpstreamError("no", { retryable: false, status: 401 });
  for (const list of [async function* () {}, () => Promise.reject(rejected)]) {
    const apiOf = async () => ({
      repository: () => Promise.reject(rejected),
      async *repositories() {
        yield* (await list()) ?? [];
      },
    });
    const trying = tryAccount(workspace, { apiOf });
    await expect(trying).rejects.toThrow(ConfigError);
    await expect(trying).rejects.not.toThrow(/(^| )--?[a-z]/);
  }
});
