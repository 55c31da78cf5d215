import { describe, expect, test } from "vitest";
import {
  ENV,
  readAuthorizerConfig,
  readGitHttpConfig,
  readLfsConfig,
  readReconcileConfig,
  readSyncConfig,
  readWebhookConfig,
} from "../../lib/config.ts";
import { ConfigError } from "../../lib/errors.ts";

describe("readSyncConfig", () => {
  test("needs bucket, queue and the path of its secrets only", () => {
    const env = {
      [ENV.bucket]: "repositories",
      [ENV.syncQueueUrl]: "https://queue",
      [ENV.relayQueueUrl]: "https://relay",
      [ENV.lfsQueueUrl]: "https://lfs",
      [ENV.secretPath]: "/nearside/",
    };
    expect(readSyncConfig(env)).toEqual({
      bucket: "repositories",
      syncQueueUrl: "https://queue",
      relayQueueUrl: "https://relay",
      lfsQueueUrl: "https://lfs",
      gitUrl: "https://bitbucket.org",
      apiUrl: "https://api.bitbucket.org/2.0",
      secretPath: "/nearside/",
      logLevel: "info",
      stackPrefix: "Nearside",
      metrics: "basic",
    });
  });

  test("takes what is set and drops slashes at the end of addresses", () => {
    const env = {
      [ENV.bucket]: "b",
      [ENV.syncQueueUrl]: "https://queue",
      [ENV.relayQueueUrl]: "https://relay",
      [ENV.lfsQueueUrl]: "https://lfs",
      [ENV.gitUrl]: "http://127.0.0.1:8080//",
      [ENV.apiUrl]: "http://127.0.0.1:8080/2.0/",
      [ENV.secretPath]: "/acme/mirror/",
      [ENV.logLevel]: "debug",
    };
    expect(readSyncConfig(env)).toEqual({
      bucket: "b",
      syncQueueUrl: "https://queue",
      relayQueueUrl: "https://relay",
      lfsQueueUrl: "https://lfs",
      gitUrl: "http://127.0.0.1:8080",
      apiUrl: "http://127.0.0.1:8080/2.0",
      secretPath: "/acme/mirror/",
      logLevel: "debug",
      stackPrefix: "Nearside",
      metrics: "basic",
    });
  });

  test("names every bad variable at once, and repeats no credential", () => {
    const env = {
      [ENV.gitUrl]: "https://user:hunter2@bitbucket.org",
      [ENV.apiUrl]: "ftp://x",
      [ENV.secretPath]: "secrets",
      [ENV.logLevel]: "loud",
    };
    const message = messageOf(() => readSyncConfig(env));
    const names = [
      ENV.bucket,
      ENV.syncQueueUrl,
      ENV.relayQueueUrl,
      ENV.lfsQueueUrl,
      ENV.gitUrl,
      ENV.apiUrl,
      ENV.secretPath,
      ENV.logLevel,
    ];
    for (const name of names) expect(message).toContain(name);
    expect(message).not.toContain("hunter2");
  });
});

test("the copier of LFS files knows what to copy", () => {
  const env = { [ENV.bucket]: "b", [ENV.lfsQueueUrl]: "https://lfs", [ENV.secretPath]: "/nearside/" };
  const policy = { lfs: "tips", lfsMaxFileMib: 10_240, lfsRepositories: "*" };
  expect(readLfsConfig(env)).toMatchObject({ lfsQueueUrl: "https://lfs", ...policy });
  expect(readLfsConfig({ ...env, [ENV.lfsMaxFileMib]: "5" }).lfsMaxFileMib).toBe(5);
});

test("reconcile needs to know where webhooks reach the mirror, and what it is called", () => {
  const env = { [ENV.bucket]: "b", [ENV.syncQueueUrl]: "https://queue", [ENV.secretPath]: "/nearside/" };
  const message = messageOf(() => readReconcileConfig(env));
  expect(message).toContain(ENV.mirrorUrl);
  const whole = { ...env, [ENV.mirrorUrl]: "https://mirror.example/git/", [ENV.stackPrefix]: "Second" };
  expect(readReconcileConfig(whole)).toMatchObject({
    mirrorUrl: "https://mirror.example/git",
    stackPrefix: "Second",
  });
});

test("an empty variable counts as absent", () => {
  expect(messageOf(() => readGitHttpConfig({ [ENV.bucket]: "" }))).toContain(`${ENV.bucket} is not set`);
  const queue = { [ENV.syncQueueUrl]: "https://queue", [ENV.lfsQueueUrl]: "https://lfs" };
  expect(readGitHttpConfig({ ...queue, [ENV.bucket]: "b", [ENV.logLevel]: "" })).toMatchObject({
    logLevel: "info",
    stackPrefix: "Nearside",
    metrics: "basic",
    waitSeconds: 20,
  });
});

describe("readAuthorizerConfig", () => {
  const env = { [ENV.bucket]: "b", [ENV.authSecret]: "nearside-auth", [ENV.secretPath]: "/nearside/" };

  test("asks Bitbucket, lets anonymous callers in, and trusts a yes for 15 minutes, by default", () => {
    expect(readAuthorizerConfig(env)).toEqual({
      bucket: "b",
      gitUrl: "https://bitbucket.org",
      authSecret: "nearside-auth",
      secretPath: "/nearside/",
      anonymous: "allow",
      anonymousPerMinute: 300,
      anonymousTotalPerMinute: 6_000,
      wrongCredentialsPerMinute: 60,
      staleMinutes: 15,
      logLevel: "info",
      stackPrefix: "Nearside",
      metrics: "basic",
    });
    const set = {
      ...env,
      [ENV.anonymous]: "deny",
      [ENV.anonymousPerMinute]: "0",
      [ENV.anonymousTotalPerMinute]: "7",
      [ENV.wrongCredentialsPerMinute]: "8",
      [ENV.staleMinutes]: "1440",
    };
    expect(readAuthorizerConfig(set)).toMatchObject({
      anonymous: "deny",
      anonymousPerMinute: 0,
      anonymousTotalPerMinute: 7,
      wrongCredentialsPerMinute: 8,
      staleMinutes: 1440,
    });
  });

  test.each([
    [ENV.anonymous, "no"],
    [ENV.staleMinutes, "1441"],
    [ENV.staleMinutes, "-1"],
    [ENV.anonymousPerMinute, "1e3"],
    [ENV.wrongCredentialsPerMinute, "1000001"],
  ])("refuses %s=%s by name", (name, value) => {
    expect(messageOf(() => readAuthorizerConfig({ ...env, [name]: value }))).toContain(name);
  });
});

function messageOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error("nothing was thrown");
}

test("webhooks are taken from anywhere unless ranges are set", () => {
  const env = { [ENV.bucket]: "b", [ENV.syncQueueUrl]: "https://queue", [ENV.secretPath]: "/nearside/" };
  expect(readWebhookConfig(env).addresses).toEqual([]);
  expect(readWebhookConfig({ ...env, [ENV.webhookAddresses]: "203.0.113.0/24" }).addresses).toEqual([
    { address: "203.0.113.0", prefixBits: 24 },
  ]);
  expect(messageOf(() => readWebhookConfig({ ...env, [ENV.webhookAddresses]: "everyone" }))).toContain(
    `${ENV.webhookAddresses} contains "everyone", which is not a range of addresses`,
  );
});
