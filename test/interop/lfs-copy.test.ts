/** LFS files copied by the command line and by the server. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { lfsFileKey } from "../../lib/repo/layout.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { startMirror } from "../support/mirror-process.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../support/primary.ts";
import { startS3Server } from "../support/s3-server/s3-server.ts";

const WAITING = { timeout: 60_000, interval: 50 };

let primary: Primary;

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
});

afterEach(() => primary.close());

function runSync(...args: string[]) {
  const { gitUrl, apiUrl } = primary.fake;
  const places = ["--store", primary.storeFolder, "--git-url", gitUrl, "--api-url", apiUrl];
  return runCli(["sync", "--json", ...places, ...args]);
}

test("nearside sync copies files, and says how many", async () => {
  const store = new FsBlobStore(primary.storeFolder);
  await changeMirrorConfig(store, () => mirrorConfigOf([{ workspace: "acme", projects: "all" }]));
  const content = randomBytes(50_000);
  await addLfsFile(primary, "a.bin", randomBytes(1000));
  const oid = await addLfsFile(primary, "a.bin", content);
  const first = await runSync();
  expect(dataOf(first.stdout), first.stderr).toMatchObject({
    repositories: 1,
    changedRepositories: 1,
    lfs: { files: 1, bytes: 50_000 },
    failed: [],
  });
  expect(first.stderr).toMatch(/^acme\/sample: 1 LFS file copied, 49 KiB, .+\/s$/m);
  expect(await readFile(join(primary.storeFolder, lfsFileKey(oid)))).toEqual(content);

  primary.fake.lfs.reset();
  expect(dataOf((await runSync()).stdout)).toMatchObject({ lfs: { files: 0 } });
  expect(primary.fake.lfs.batches).toEqual([]);
  expect(dataOf((await runSync("--lfs", "all")).stdout)).toMatchObject({
    lfs: { files: 1, bytes: 1000 },
  });

  primary.fake.lfs.misbehave({ batchStatus: 503 });
  await addLfsFile(primary, "b.bin", randomBytes(100));
  const failed = await runSync();
  expect(failed.exitCode).toBe(3);
  expect(dataOf(failed.stdout)).toMatchObject({ lfs: { files: 0 }, failed: ["acme/sample"] });
  primary.fake.lfs.reset();
  const excluded = await runSync("--lfs-repositories", "*,!acme/sam*");
  expect(dataOf(excluded.stdout)).toMatchObject({ lfs: { files: 0 } });
  // What a run has not done is no longer any process's job.
  const again = await runSync();
  expect([again.exitCode, dataOf(again.stdout)]).toMatchObject([0, { lfs: { files: 1, bytes: 100 } }]);
});

test("doctor checks one file at Bitbucket, in the store and at its link", async () => {
  const { gitUrl, apiUrl } = primary.fake;
  const s3 = await startS3Server({ folder: join(primary.folder, "s3") });
  const environment = {
    AWS_REGION: s3.region,
    AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
  };
  const bucket = ["--store", `s3://${s3.bucketName}`, "--s3-endpoint", s3.endpoint];
  const places = [...bucket, "--git-url", gitUrl, "--api-url", apiUrl];
  const lfsFindings = async () => {
    const { stdout } = await runCli(["doctor", "--json", ...places], environment);
    return (dataOf(stdout) as { check: string; status: string; detail: string }[])
      .filter(({ check }) => check.startsWith("acme: LFS"))
      .map(({ check, status, detail }) => `${status} ${check}: ${detail}`);
  };
  for (const args of [
    ["connect", "acme", ...places],
    ["select", "acme", "--all", ...bucket],
    ["sync", ...places],
  ])
    expect(await runCli(args, environment)).toMatchObject({ exitCode: 0 });
  expect(await lfsFindings()).toEqual([
    "skipped acme: LFS: no pointer to a Git LFS file is known, in 1 mirrored repository",
  ]);
  const oid = await addLfsFile(primary, "a.bin", randomBytes(1000));
  await runCli(["sync", ...places], environment);
  expect(await lfsFindings()).toEqual([
    "ok acme: LFS: sample: 1 file, 1 stored",
    `ok acme: LFS at Bitbucket: it offers ${oid} of acme/sample to the account`,
    `ok acme: LFS in the store: ${oid} has its 1000 bytes`,
    `ok acme: LFS link: ${s3.endpoint} gives ${oid} to anyone who has the link`,
  ]);
  primary.fake.lfs.misbehave({ batchStatus: 403 });
  expect((await lfsFindings())[1]).toMatch(/^fail acme: LFS at Bitbucket: .*403/);
  await s3.close();
});

test("doctor gets the link to a file in a folder from the server, as git-lfs does", async () => {
  const oid = await addLfsFile(primary, "a.bin", randomBytes(1000));
  const mirror = await startMirror(primary.mirrorArguments);
  await vi.waitFor(() => expect(existsSync(join(primary.storeFolder, lfsFileKey(oid)))).toBe(true), WAITING);
  const { gitUrl, apiUrl } = primary.fake;
  const places = ["--store", primary.storeFolder, "--git-url", gitUrl, "--api-url", apiUrl];
  const linkFinding = async (...more: string[]) => {
    const { stdout } = await runCli(["doctor", "--json", ...places, ...more]);
    const findings = dataOf(stdout) as { check: string; status: string; detail: string }[];
    return findings.find(({ check }) => check === "acme: LFS link");
  };
  await vi.waitFor(
    async () =>
      expect(await linkFinding("--mirror-url", mirror.url)).toMatchObject({
        status: "ok",
        detail: `${mirror.url} gives ${oid} to anyone who has the link`,
      }),
    WAITING,
  );
  expect(await linkFinding()).toMatchObject({ status: "skipped" });
  // An address that knows the file, and is not the mirror's.
  expect(await linkFinding("--mirror-url", gitUrl)).toMatchObject({
    status: "fail",
    detail: expect.stringContaining("gives no link of its own"),
  });
  await mirror.stop();
});

test("status, verify and lfs forget", async () => {
  const store = new FsBlobStore(primary.storeFolder);
  await changeMirrorConfig(store, () => mirrorConfigOf([{ workspace: "acme", projects: "all" }]));
  const oid = await addLfsFile(primary, "a.bin", randomBytes(1000));
  await addLfsFile(primary, "b.bin", randomBytes(2000), { isMissing: true });
  await primary.commit(
    "main",
    ".lfsconfig",
    "[lfs]\n\turl = https://bitbucket.org/acme/sample.git/info/lfs\n",
  );
  await runSync();
  const storeArguments = ["--store", primary.storeFolder];
  const shown = (await runCli(["status", ...storeArguments])).stdout;
  expect(shown).toContain("LFS 2 files (2.9 KiB): 1 stored (1000 bytes), 1 missing at Bitbucket");
  expect(shown).toContain("url.<mirror>/.insteadOf https://bitbucket.org/");
  const lfs = { pointers: 2, stored: 1, storedBytes: 1000, missing: 1 };
  const status = await runCli(["status", "--json", ...storeArguments]);
  expect(dataOf(status.stdout)).toMatchObject([{ repositories: [{ lfs }] }]);

  const { gitUrl, apiUrl } = primary.fake;
  const verify = ["verify", "--lfs", "--deep", ...storeArguments, "--git-url", gitUrl, "--api-url", apiUrl];
  expect((await runCli(verify)).stdout).toContain("1 LFS file\n");
  await writeFile(join(primary.storeFolder, lfsFileKey(oid)), randomBytes(1000));
  expect(await runCli(verify)).toMatchObject({
    exitCode: 3,
    stdout: expect.stringMatching(
      new RegExp(
        `LFS file ${oid} has other bytes[^]*\nRun nearside lfs forget <oid> [^\n]*copies them again.\n$`,
      ),
    ),
  });

  const forget = (...args: string[]) => runCli(["lfs", "forget", ...args]);
  const elsewhere = join(primary.folder, "elsewhere");
  expect(await forget(oid, "--store", elsewhere)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining(`there is no mirror in ${elsewhere}`),
  });
  expect(existsSync(elsewhere)).toBe(false);
  const forgotten = await forget(`sha256:${oid.toUpperCase()}`, ...storeArguments);
  expect(forgotten.stdout).toBe(`${oid} is deleted. It is not served any more for acme/sample.\n`);
  expect(existsSync(join(primary.storeFolder, lfsFileKey(oid)))).toBe(false);
  expect((await forget(oid, ...storeArguments)).stdout).toContain("nothing to delete");
  expect(dataOf((await forget(oid, "--json", ...storeArguments)).stdout)).toEqual({
    oid,
    wasStored: false,
    repositories: [],
    damaged: [],
  });
  expect((await forget("abc", ...storeArguments)).exitCode).toBe(2);

  expect((await runCli(["status", ...storeArguments])).stdout).toContain(
    "0 stored (0 bytes), 1 missing at Bitbucket, 1 copied when a client asks for them",
  );
  expect(dataOf((await runSync()).stdout)).toMatchObject({ lfs: { files: 1, bytes: 1000 } });
  expect((await runCli(verify)).exitCode).toBe(0);
});

test("a server that is killed while it copies continues after its restart", async () => {
  const contents = [randomBytes(2_000), randomBytes(600_000)];
  const oids: string[] = [];
  for (const [i, content] of contents.entries()) oids.push(await addLfsFile(primary, `${i}.bin`, content));
  const paths = oids.map((oid) => join(primary.storeFolder, lfsFileKey(oid)));
  primary.fake.lfs.misbehave({ bytesPerSecond: 50_000 });
  const killed = await startMirror(primary.mirrorArguments);
  await vi.waitFor(() => expect(primary.fake.lfs.transfers).toHaveLength(2), WAITING);
  await killed.stop("SIGKILL");
  expect(existsSync(paths[1] as string)).toBe(false);

  primary.fake.lfs.reset();
  const mirror = await startMirror(primary.mirrorArguments);
  for (const [i, path] of paths.entries())
    await vi.waitFor(async () => expect(await readFile(path)).toEqual(contents[i]), WAITING);
  await mirror.stop();
});
