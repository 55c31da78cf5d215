/** The mirror as a program hands out its packs: from a folder by itself, from a bucket by S3. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isolatedGitEnvironment, tryGit } from "../support/git/run-git.ts";
import { type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import {
  expectSilentFsck,
  listRefs,
  type Primary,
  reachableObjects,
  startPrimary,
} from "../support/primary.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";

/** Does not compress, so its pack is above what is worth an address. */
const LARGE_TEXT = randomBytes(4 * 1024 * 1024).toString("base64");

let primary: Primary;
let s3Server: S3Server;
let mirror: MirrorProcess | undefined;
/** Each as method, path and query. */
const s3Requests: string[] = [];

beforeEach(async () => {
  primary = await startPrimary();
  await primary.commit("main", "large.txt", LARGE_TEXT);
  s3Server = await startS3Server({
    folder: primary.newPath(),
    intercept: ({ method, url }) => {
      s3Requests.push(`${method} ${url}`);
      return false;
    },
  });
});

afterEach(async () => {
  await mirror?.stop("SIGKILL");
  await s3Server.close();
  await primary.close();
});

/** @returns What git says of the processes that it starts, and of its transfers. */
async function cloneWithPackfileUris(cloneUrl: string, clone: string): Promise<string> {
  const { stderr, exitCode } = await tryGit(
    ["-c", "fetch.uriProtocols=https,http", "clone", "--mirror", cloneUrl, clone],
    { env: { ...isolatedGitEnvironment(), GIT_TRACE: "1" } },
  );
  expect(exitCode, stderr).toBe(0);
  return stderr;
}

test("from a folder", async () => {
  const started = await startMirror([...primary.mirrorArguments, "--store", primary.newPath()]);
  mirror = started;
  const clone = primary.newPath();
  const said = await cloneWithPackfileUris(started.repositories[0]?.cloneUrl ?? "", clone);
  expect(said).toMatch(/http-fetch .*\/~blobs\/repos\//);
  expect(await listRefs(clone)).toBe(await listRefs(primary.repository));
  expect(await reachableObjects(clone)).toEqual(await reachableObjects(primary.repository));
  await expectSilentFsck(clone);
});

test("from a bucket", async () => {
  const { accessKeyId, secretAccessKey } = s3Server.credentials;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const store = ["--store", `s3://${s3Server.bucketName}/one`, "--s3-endpoint", s3Server.endpoint];
  const started = await startMirror([...primary.mirrorArguments, ...store], { env });
  mirror = started;
  const clone = primary.newPath();
  s3Requests.length = 0;
  await cloneWithPackfileUris(started.repositories[0]?.cloneUrl ?? "", clone);
  const presigned = s3Requests.filter((line) => line.includes("X-Amz-Signature="));
  expect(presigned).toHaveLength(1);
  expect(presigned[0]).toMatch(
    /^GET \/nearside\/one\/repos\/[^/]+\/objects\/pack\/pack-[0-9a-f]{40}\.pack\?/,
  );
  expect(await reachableObjects(clone)).toEqual(await reachableObjects(primary.repository));
  await expectSilentFsck(clone);
});
