import { describe, expect, test } from "vitest";
import { ENV, readGitHttpConfig, readSyncConfig } from "../../lib/config.ts";
import { ConfigError } from "../../lib/errors.ts";

describe("readSyncConfig", () => {
  test("needs bucket and queue only", () => {
    const env = { [ENV.bucket]: "repositories", [ENV.syncQueueUrl]: "https://queue" };
    expect(readSyncConfig(env)).toEqual({
      bucket: "repositories",
      syncQueueUrl: "https://queue",
      gitUrl: "https://bitbucket.org",
      apiUrl: "https://api.bitbucket.org/2.0",
      credentialParameter: undefined,
      logLevel: "info",
    });
  });

  test("takes what is set and drops slashes at the end of addresses", () => {
    const env = {
      [ENV.bucket]: "b",
      [ENV.syncQueueUrl]: "https://queue",
      [ENV.gitUrl]: "http://127.0.0.1:8080//",
      [ENV.apiUrl]: "http://127.0.0.1:8080/2.0/",
      [ENV.credentialParameter]: "/nearside/bitbucket",
      [ENV.logLevel]: "debug",
    };
    expect(readSyncConfig(env)).toEqual({
      bucket: "b",
      syncQueueUrl: "https://queue",
      gitUrl: "http://127.0.0.1:8080",
      apiUrl: "http://127.0.0.1:8080/2.0",
      credentialParameter: "/nearside/bitbucket",
      logLevel: "debug",
    });
  });

  test("names every bad variable at once, and repeats no credential", () => {
    const env = {
      [ENV.gitUrl]: "https://user:hunter2@bitbucket.org",
      [ENV.apiUrl]: "ftp://x",
      [ENV.logLevel]: "loud",
    };
    const message = messageOf(() => readSyncConfig(env));
    const names = [ENV.bucket, ENV.syncQueueUrl, ENV.gitUrl, ENV.apiUrl, ENV.logLevel];
    for (const name of names) expect(message).toContain(name);
    expect(message).not.toContain("hunter2");
  });
});

test("an empty variable counts as absent", () => {
  expect(messageOf(() => readGitHttpConfig({ [ENV.bucket]: "" }))).toContain(`${ENV.bucket} is not set`);
  expect(readGitHttpConfig({ [ENV.bucket]: "b", [ENV.logLevel]: "" }).logLevel).toBe("info");
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
