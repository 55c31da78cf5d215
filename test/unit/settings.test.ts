import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ENV } from "../../lib/config.ts";
import { parseSetting } from "../../lib/parse-setting.ts";
import { flagOf, SETTING_NAMES, type SettingName, settingOf } from "../../lib/settings.ts";
import { parseSettingsFile, readSettingsFile } from "../../lib/settings-file.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { parseServerArguments } from "../support/server-arguments.ts";
import { settingsDocument, withSettingsTable } from "../support/settings-tables.ts";

describe("the table", () => {
  test.each(SETTING_NAMES)("the default of %s is a value that it can have", (name) => {
    const { default: value } = settingOf(name);
    if (value !== undefined) expect(parseSetting(name, String(value))).toEqual(value);
  });

  test("names options and variables by the settings' names; repeatable options are in the singular", () => {
    expect(
      ["s3PublicEndpoint", "staleMinutes", "allowedAddresses"].map((name) => flagOf(name as "store")),
    ).toEqual(["--s3-public-endpoint", "--stale-minutes", "--allow-address"]);
    expect([ENV.lfsMaxFileMib, ENV.secretPath]).toEqual([
      "NEARSIDE_LFS_MAX_FILE_MIB",
      "NEARSIDE_SECRET_PATH",
    ]);
  });
});

test("docs/configure.md has the table", () => {
  const readme = settingsDocument();
  expect(readme).toBe(withSettingsTable(readme));
});

test.each<[SettingName, string, string]>([
  ["anonymous", "yes", "must be one of allow, deny"],
  ["staleMinutes", "1441", "must be a whole number from 0 to 1440"],
  ["staleMinutes", "-1", "must be a whole number from 0 to 1440"],
  ["staleMinutes", "", "must be a whole number from 0 to 1440"],
  ["anonymousPerMinute", "1e3", "must be a whole number from 0 to 1000000"],
  ["pollSeconds", "0.05", "must be a number from 0.1 to 86400"],
  ["pollSeconds", " ", "must be a number from 0.1 to 86400"],
  ["gitUrl", "ftp://x", "must be an address that begins with https:// or http://"],
  ["gitUrl", "https://", "must be an address that begins with https:// or http://"],
  ["s3Endpoint", "http://127.0.0.1,127.0.0.2", "must be an address that begins with https:// or http://"],
  ["gitUrl", "https://user:hunter2@bitbucket.org", "must not contain a credential"],
  ["host", "localhost", "must be an IP address"],
  ["store", "s3:/bucket", "must be a folder, or s3://bucket/prefix"],
  ["store", "s3://", "must be a folder, or s3://bucket/prefix"],
  ["store", "S3:/bucket", "must be a folder, or s3://bucket/prefix"],
  ["store", "https://bucket.s3.amazonaws.com", "must be a folder, or s3://bucket/prefix"],
  ["store", "", "must be a folder, or s3://bucket/prefix"],
  ["secretPath", "nearside", "must begin and end with a slash"],
  ["stackPrefix", "my_mirror", "must be letters, digits and hyphens"],
])("%s=%j is refused: %s", (name, text, rule) => {
  expect(() => parseSetting(name, text)).toThrow(rule);
  expect(() => parseSetting(name, text)).not.toThrow("hunter2");
});

test.each<[SettingName, string, string | number]>([
  ["gitUrl", "http://127.0.0.1:8080//", "http://127.0.0.1:8080"],
  ["store", "s3://bucket", "s3://bucket"],
  ["store", "s3://bucket/a:b/c", "s3://bucket/a:b/c"],
  ["store", "./mirror:old", "./mirror:old"],
  ["store", "s3", "s3"],
  ["pollSeconds", "0.5", 0.5],
])("%s=%j is read as %j", (name, text, value) => {
  expect(parseSetting(name, text)).toBe(value);
});

describe("nearside.config.json", () => {
  const read = (file: unknown) => parseSettingsFile(JSON.stringify(file), "nearside.config.json");

  test("has settings of both, of a server, and of a deployment", () => {
    expect(
      read({
        $schema: "./schema.json",
        staleMinutes: 5,
        gitUrl: "https://git.example/",
        allowedAddresses: ["203.0.113.0/24", "::1"],
        server: { port: 80, store: "s3://mirror" },
        deployment: { apiLogRole: "create" },
      }),
    ).toEqual({
      staleMinutes: 5,
      gitUrl: "https://git.example",
      allowedAddresses: "203.0.113.0/24,::1",
      port: 80,
      store: "s3://mirror",
      apiLogRole: "create",
    });
  });

  test.each<[unknown, string]>([
    [{ anonymus: "deny" }, "anonymus is not a setting"],
    [{ port: 80 }, "port is not a setting here: it is server.port"],
    [
      { deployment: { staleminutes: 1 } },
      "deployment.staleminutes is not a setting here: it is staleMinutes",
    ],
    [{ server: { port: "80" } }, "server.port must be a whole number from 0 to 65535"],
    [{ server: { port: 80.5 } }, "server.port must be a whole number from 0 to 65535"],
    [{ anonymous: true }, "anonymous must be one of allow, deny"],
    [{ allowedAddresses: [] }, 'allowedAddresses must be "any", or a list of ranges'],
    [{ allowedAddresses: "203.0.113.0/24" }, 'allowedAddresses must be "any", or a list of ranges'],
    [
      { allowedAddresses: ["203.0.113.0/33"] },
      'allowedAddresses contains "203.0.113.0/33", which is not a range',
    ],
    [{ server: null }, "server "],
    [[], "it "],
    ["", "it "],
  ])("%j is refused: %s", (file, text) => {
    expect(() => read(file)).toThrow(text);
    expect(() => read(file)).toThrow("nearside.config.json is not valid");
  });

  test("names every problem at once", () => {
    const file = { anonymus: 1, staleMinutes: -1, server: { hots: "::1", port: -1 } };
    for (const name of ["anonymus", "staleMinutes", "server.hots", "server.port"])
      expect(() => read(file)).toThrow(name);
  });

  test("may begin with a byte order mark, and must be JSON", () => {
    expect(parseSettingsFile('\uFEFF{"push": "refuse"}', "x.json")).toEqual({ push: "refuse" });
    expect(() => parseSettingsFile('{"push": "refuse"', "x.json")).toThrow("x.json is not JSON");
  });

  test("may be missing, unless it was named", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "mirror.json");
    expect(() => readSettingsFile(file)).toThrow(`${file} cannot be read`);
    await writeFile(file, '{"anonymous": "deny"}');
    expect(readSettingsFile(file)).toEqual({ anonymous: "deny" });
  });
});

describe("the server's command line", () => {
  test("overrides the file, which overrides the defaults", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "mirror.json");
    const settings = {
      anonymous: "deny",
      staleMinutes: 3,
      allowedAddresses: ["::1", "192.0.2.1"],
      server: { port: 81, store: "/srv/mirror" },
      deployment: { stackPrefix: "Other" },
    };
    await writeFile(file, JSON.stringify(settings));
    expect(parseServerArguments(["--config", file, "--stale-minutes", "4", "--port", "0"])).toMatchObject({
      anonymous: "deny",
      staleMinutes: 4,
      allowedAddresses: [
        { address: "::1", prefixBits: 128 },
        { address: "192.0.2.1", prefixBits: 32 },
      ],
      webhookAddresses: [],
      trustedProxies: [],
      metricsAddresses: [],
      port: 0,
      store: "/srv/mirror",
      host: "127.0.0.1",
      waitSeconds: 20,
    });
  });

  test("repeats an option for more than one range", () => {
    const args = ["--allow-address", "203.0.113.0/24", "--allow-address", "::1"];
    expect(parseServerArguments(args).allowedAddresses).toEqual([
      { address: "203.0.113.0", prefixBits: 24 },
      { address: "::1", prefixBits: 128 },
    ]);
  });
});
