import { type Node, RootConstruct } from "constructs";
import { expect, test } from "vitest";
import { deploymentSettings, describeReach, settingsFileOf } from "../../infra/settings.ts";
import { ENV, ENVIRONMENT_SETTINGS } from "../../lib/config.ts";
import { SETTING_NAMES } from "../../lib/settings.ts";
import { parseSettingsFile } from "../../lib/settings-file.ts";

const settings = (file: object) => deploymentSettings(parseSettingsFile(JSON.stringify(file), "settings"));

test("what the file sets reaches the functions, and the rest has its default", () => {
  const { environment } = settings({
    anonymousTotalPerMinute: 7,
    push: "refuse",
    deployment: { logLevel: "warn" },
  });
  expect(environment).toEqual({
    [ENV.gitUrl]: "https://bitbucket.org",
    [ENV.apiUrl]: "https://api.bitbucket.org/2.0",
    [ENV.anonymous]: "allow",
    [ENV.administration]: "pages",
    [ENV.anonymousPerMinute]: "300",
    [ENV.anonymousTotalPerMinute]: "7",
    [ENV.wrongCredentialsPerMinute]: "60",
    [ENV.staleMinutes]: "15",
    [ENV.waitSeconds]: "20",
    [ENV.push]: "refuse",
    [ENV.redirectUnmirrored]: "public",
    [ENV.lfs]: "tips",
    [ENV.lfsMaxFileMib]: "10240",
    [ENV.lfsRepositories]: "*",
    [ENV.secretPath]: "/nearside/",
    [ENV.streamTierThresholdMib]: "100",
    [ENV.streamTierTokens]: "one-network",
    [ENV.logLevel]: "warn",
    [ENV.stackPrefix]: "Nearside",
    [ENV.metrics]: "basic",
  });
  // Those of webhooks go to one function only.
  expect(Object.keys(environment)).toHaveLength(ENVIRONMENT_SETTINGS.length - 1);
});

test("the path of secrets follows the stacks' name, unless it is set", () => {
  expect(settings({ deployment: { stackPrefix: "Acme" } }).secretPath).toBe("/acme/");
  const both = { stackPrefix: "Acme", secretPath: "/git/mirror/" };
  expect(settings({ deployment: both }).secretPath).toBe("/git/mirror/");
});

test("more webhook addresses than a function's environment has room for are refused", () => {
  const webhookAddresses = Array(149).fill("2001:db8:1111:2222:3333:4444:5555:6666");
  expect(() => settings({ webhookAddresses })).toThrow("webhookAddresses is longer than 3000 characters");
});

test.each(SETTING_NAMES)(
  "%s as CDK context is refused: a forgotten -c would change the deployment",
  (name) => {
    expect(() => settingsFileOf(nodeWith(name, "x"))).toThrow(
      `${name} is set in nearside.config.json, not as CDK context`,
    );
  },
);

test("-c config= names another file", () => {
  expect(settingsFileOf(new RootConstruct().node)).toBeUndefined();
  expect(settingsFileOf(nodeWith("config", "acme.json"))).toBe("acme.json");
  expect(() => settingsFileOf(nodeWith("config", ""))).toThrow("must name a file");
});

test("a deploy says who can reach the API", () => {
  expect(describeReach(settings({}))).toBe("The API accepts requests from any address.");
  expect(describeReach(settings({ allowedAddresses: ["203.0.113.0/24", "::1"] }))).toBe(
    "The API accepts requests from 203.0.113.0/24, ::1/128 only.",
  );
});

function nodeWith(name: string, value: string): Node {
  const { node } = new RootConstruct();
  node.setContext(name, value);
  return node;
}
