/** The commands over a bucket, with accounts from SSM, as they are run beside a deployed mirror. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SecretServer, startSecretServer } from "../support/aws-front/secret-server.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { git } from "../support/git/run-git.ts";
import { expectSilentFsck, listRefs, type Primary, startPrimary } from "../support/primary.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";

let primary: Primary;
let s3Server: S3Server;
let secrets: SecretServer;
let environment: Record<string, string>;

beforeAll(async () => {
  primary = await startPrimary();
  [s3Server, secrets] = await Promise.all([
    startS3Server({ folder: join(primary.folder, "s3") }),
    startSecretServer({ "/nearside/accounts/bot": '{"email":"developer@example.com","token":"developer"}' }),
  ]);
  environment = {
    AWS_ENDPOINT_URL_SSM: secrets.endpoint,
    AWS_REGION: s3Server.region,
    AWS_ACCESS_KEY_ID: s3Server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3Server.credentials.secretAccessKey,
  };
});
afterAll(async () => {
  await Promise.all([s3Server.close(), secrets.close()]);
  await primary.close();
});

/** Of commands that look at the store only. */
function inBucket(...args: string[]) {
  const place = ["--store", `s3://${s3Server.bucketName}/some/prefix`, "--s3-endpoint", s3Server.endpoint];
  return runCli([...args, ...place], environment);
}

/** Of those that ask Bitbucket as well. */
function withBitbucket(...args: string[]) {
  const at = ["--api-url", primary.fake.apiUrl, "--git-url", primary.fake.gitUrl];
  return inBucket(...args, ...at, "--secret-path", "/nearside/");
}

describe.sequential("over a bucket", () => {
  test("an account that SSM does not have is refused, and nothing is written", async () => {
    expect(await withBitbucket("connect", "acme", "--credential", "nobody")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("there is no SSM parameter"),
    });
    expect((await inBucket("status")).stdout).toContain(
      "Nothing is mirrored in s3://nearside/some/prefix yet",
    );
  });

  test("connected, selected, synchronized, verified, exported", async () => {
    for (const args of [
      ["connect", "acme", "--credential", "bot"],
      ["select", "acme", "--all"],
      ["sync"],
      ["verify", "--deep"],
    ]) {
      const { exitCode, stderr } = await (args[0] === "select" ? inBucket(...args) : withBitbucket(...args));
      expect([args[0], exitCode, stderr.includes("nearside:")]).toEqual([args[0], 0, false]);
    }
    const status = await inBucket("status", "--json");
    expect(dataOf(status.stdout)).toMatchObject([
      { credential: "bot", repositories: [{ slug: "sample", state: "AVAILABLE", isSelected: true }] },
    ]);
    const folder = primary.newPath();
    expect((await inBucket("export", "acme/sample", folder)).exitCode).toBe(0);
    await expectSilentFsck(folder);
    expect(await listRefs(folder)).toBe(await listRefs(primary.repository));
  });

  test("a difference is found, mended, and kept while paused", async () => {
    const id = await primary.commit("main", "file", "content");
    expect(await withBitbucket("verify")).toMatchObject({ exitCode: 3, stdout: expect.stringContaining(id) });
    expect((await withBitbucket("sync", "acme/sample")).exitCode).toBe(0);
    expect((await withBitbucket("verify", "--deep")).exitCode).toBe(0);
    expect((await inBucket("pause", "acme")).exitCode).toBe(0);
    expect((await inBucket("status")).stdout).toContain("acme: paused");
    expect((await inBucket("resume", "acme")).exitCode).toBe(0);
    const folder = primary.newPath();
    expect((await inBucket("export", "acme/sample", folder)).exitCode).toBe(0);
    expect(await git(["rev-parse", "main"], { cwd: folder })).toBe(id);
  });

  test("rejected AWS credentials are reported, with what to do", async () => {
    environment = { ...environment, AWS_SECRET_ACCESS_KEY: "wrong" };
    const refused = await inBucket("status");
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(
      /^nearside: SignatureDoesNotMatch.*\n {2}AWS rejects the credentials.*\n$/,
    );
  });
});
