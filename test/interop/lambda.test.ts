import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleFunction } from "../../infra/bundle.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import { type FunctionApi, startFunctionApi } from "../support/aws-front/function-api.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { MirrorBuilder } from "../support/git/mirror-builder.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { nameRepository } from "../support/named-repository.ts";

const runtimeClient = findRuntimeClient();
const MEBIBYTE = 1024 * 1024;
/** A branch is a want of 50 bytes; git compresses requests above 1,024. */
const OLD_BRANCH_COUNT = 30;

/** What the function under test saw. */
interface Echo {
  readonly headers: Readonly<Record<string, string>>;
  /** In base64. */
  readonly body: string;
}

describe.skipIf(runtimeClient === undefined)("a bundled function under AWS's runtime client", () => {
  let folder: TemporaryFolder;
  let gateway: FunctionApi;

  beforeAll(async () => {
    folder = await temporaryFolder();
    await bundleFunction(
      { entryFile: "test/support/aws-front/scripted-function.ts", workerFiles: [] },
      join(folder.path, "code"),
    );
    gateway = await startFunctionApi({
      ...{ runtimeClient: runtimeClient ?? "", codeFolder: join(folder.path, "code") },
      definition: { timeoutMs: 7_000 },
    });
  });

  afterAll(async () => {
    await gateway.close();
    await folder.remove();
  });

  async function echo(path: string, init: RequestInit = {}): Promise<Echo> {
    const response = await fetch(`${gateway.url}${path}`, init);
    expect(response.status, gateway.log()).toBe(200);
    return (await response.json()) as Echo;
  }

  test("gets method, path, repeated query values and headers", async () => {
    const headers = { "Git-Protocol": "version=2" };
    expect(await echo("/echo?service=git-upload-pack&a=1&a=%2F2", { headers })).toMatchObject({
      method: "GET",
      path: "/echo",
      query: [
        ["service", "git-upload-pack"],
        ["a", "1"],
        ["a", "/2"],
      ],
      headers: { "git-protocol": "version=2" },
      body: "",
    });
  });

  test("gets git's request bodies byte for byte", async () => {
    const body = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const headers = { "content-type": "application/x-git-upload-pack-request" };
    const echoed = await echo("/echo", { method: "POST", body, headers });
    expect(echoed.body).toBe(Buffer.from(body).toString("base64"));
    expect(echoed).toHaveProperty(["headers", "content-length"], "256");
  });

  test.each([
    {
      what: "has gone out for a body that came inflated",
      body: "0014command=ls-refs\n",
      expected: undefined,
    },
    { what: "stays with a body in gzip", body: new Uint8Array([0x1f, 0x8b, 8, 0]), expected: "gzip" },
  ])("content-encoding $what", async ({ body, expected }) => {
    const headers = { "content-type": "application/x-git-upload-pack-request", "content-encoding": "gzip" };
    const echoed = await echo("/echo", { method: "POST", body, headers });
    expect(echoed.headers["content-encoding"]).toBe(expected);
  });

  test("may answer without a body", async () => {
    const response = await fetch(`${gateway.url}/empty`);
    expect(response.status).toBe(204);
    expect(await response.text()).toBe("");
  });

  test("answers HEAD without a body and with GET's status", async () => {
    const response = await fetch(`${gateway.url}/large?mebibytes=500`, { method: "HEAD" });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
  });

  test("streams more than a buffered response may hold", async () => {
    const response = await fetch(`${gateway.url}/large?mebibytes=40`);
    expect((await response.arrayBuffer()).byteLength).toBe(40 * MEBIBYTE);
  });

  test("answers 500 in one line for a bug before the first byte, and logs it", async () => {
    const response = await fetch(`${gateway.url}/throws`);
    expect(response.status).toBe(500);
    expect(await response.text()).toBe("internal error of the mirror\n");
    expect(gateway.log()).toContain('"event":"http:failed"');
  });

  test("cuts the response for a failure after the first byte, logs it and serves on", async () => {
    const response = await fetch(`${gateway.url}/cut`);
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow();
    expect(gateway.log()).toContain('"event":"http:response-cut"');
    expect((await fetch(`${gateway.url}/echo`)).status).toBe(200);
  });

  test("is aborted in time to say so", async () => {
    const response = await fetch(`${gateway.url}/until-aborted`);
    expect(await response.text()).toBe("waiting\nout of time\n");
  });

  test("never sees a body larger than Lambda's event", async () => {
    const headers = { "content-type": "application/x-git-upload-pack-request" };
    const body = new Uint8Array(5 * MEBIBYTE);
    const response = await fetch(`${gateway.url}/echo`, { method: "POST", body, headers });
    expect(response.status).toBe(413);
  });
});

describe.skipIf(runtimeClient === undefined)("the git-http function over S3", () => {
  let folder: TemporaryFolder;
  let bitbucket: FakeBitbucket;
  let front: AwsFront;
  let sample: string;
  let clones = 0;

  beforeAll(async () => {
    folder = await temporaryFolder();
    sample = join(folder.path, "primary/acme/sample.git");
    await makeSampleRepository(sample, { commitCount: 2 * OLD_BRANCH_COUNT });
    for (let age = 1; age <= OLD_BRANCH_COUNT; age++) {
      await git(["branch", `old/${age}`, `main~${age}`], { cwd: sample });
    }
    bitbucket = await startFakeBitbucket({ repositoriesFolder: join(folder.path, "primary") });
    front = await startAwsFront({
      runtimeClient: runtimeClient ?? "",
      folder: folder.path,
      settings: { gitUrl: bitbucket.gitUrl },
    });
    await publishSample();
  });

  afterAll(async () => {
    await Promise.all([front.close(), bitbucket.close()]);
    await folder.remove();
  });

  async function publishSample(): Promise<void> {
    const { store } = front;
    const builder = await MirrorBuilder.open(store, sample, join(folder.path, "scratch.git"));
    await builder.addPack({ revisions: [], packObjectsOptions: ["--all", "--delta-base-offset"] });
    await builder.publish("acme", "sample");
    await nameRepository(store, builder.uuid, {
      workspace: "acme",
      slug: "sample",
      projectKey: "WEB",
      isPrivate: false,
    });
  }

  async function clone(...options: string[]): Promise<string> {
    const target = join(folder.path, `clone-${++clones}`);
    await git(["clone", "--quiet", ...options, `${front.url}/acme/sample.git`, target]);
    await git(["fsck", "--full", "--strict"], { cwd: target });
    return target;
  }

  test.each([0, 1, 2])("clones whole with protocol version %d", async (version) => {
    const target = await clone("--mirror", "-c", `protocol.version=${version}`);
    const refsOf = (cwd: string) => git(["show-ref", "--head", "--dereference"], { cwd });
    expect(await refsOf(target)).toBe(await refsOf(sample));
    expect(front.counts().gitHttp?.cold).toBe(1);
  });

  test("answers a fetch whose request git compresses", async () => {
    const target = await clone("--single-branch", "--branch", "pages", "--no-tags");
    const { exitCode, stderr } = await tryGit(["fetch", "origin", "+refs/*:refs/copy/*"], {
      cwd: target,
      env: { GIT_TRACE_CURL: "1" },
    });
    expect(exitCode).toBe(0);
    expect(stderr.toLowerCase().includes("content-encoding: gzip")).toBe(true);
    await git(["fsck", "--full", "--strict"], { cwd: target });
    const refsOf = (cwd: string, prefix: string) =>
      git(["for-each-ref", "--format=%(objectname)", prefix], { cwd });
    expect(await refsOf(target, "refs/copy")).toBe(await refsOf(sample, "refs"));
  });

  test("returns git's error for a repository that is not there", async () => {
    const url = `${front.url.replace("://", "://developer:developer@")}/acme/absent.git`;
    const { exitCode, stderr } = await tryGit(["ls-remote", url]);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("not found");
  });
});
