/**
 * Large repositories through the deployed functions and a server of the stream tier: stock git, whole clones, Lambda's limit as it is.
 * The front cuts a response at 200 MB, as Lambda does.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENV } from "../../lib/config.ts";
import { LAMBDA_ANSWER_LIMIT } from "../../lib/git-http/large-repositories.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { MirrorBuilder, OFS_ALL } from "../support/git/mirror-builder.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type MirrorProcess, spawnMirror } from "../support/mirror-process.ts";
import { nameRepository } from "../support/named-repository.ts";

const runtimeClient = findRuntimeClient();
const TIER_KEY = "the key of a tier that is only tested";
/** Just below what the mirror sends in one answer, headers of objects and the pack's own apart. */
const FITTING_BYTES = LAMBDA_ANSWER_LIMIT.maxPlannedBytes - 100_000;
const WHOLE_BYTES = 300_000_000;

describe.skipIf(runtimeClient === undefined)("a repository of 300 MB", () => {
  let folder: TemporaryFolder;
  let bitbucket: FakeBitbucket;
  let front: AwsFront;
  let tierPort: number;
  let tier: MirrorProcess | undefined;
  let repository: string;
  let clones = 0;

  beforeAll(async () => {
    folder = await temporaryFolder();
    repository = join(folder.path, "primary/acme/large.git");
    await makeRepository(repository);
    bitbucket = await startFakeBitbucket({ repositoriesFolder: join(folder.path, "primary") });
    tierPort = await freePort();
    front = await startAwsFront({
      runtimeClient: runtimeClient ?? "",
      folder: folder.path,
      settings: { gitUrl: bitbucket.gitUrl },
      environment: {
        [ENV.streamTierUrl]: `http://127.0.0.1:${tierPort}`,
        [ENV.streamTierKeys]: TIER_KEY,
      },
    });
    await publish();
    // Seconds, unless the machine is busy.
  }, 600_000);

  afterAll(async () => {
    await Promise.all([front.close(), tier?.stop("SIGTERM")]);
    await bitbucket.close();
    await folder.remove();
  });

  /** Incompressible, so that git copies it in seconds. */
  async function makeRepository(path: string): Promise<void> {
    await git(["init", "--quiet", "--bare", "--initial-branch=main", path]);
    // Looks for no deltas between large files, neither here nor when the primary serves them.
    await git(["config", "core.bigFileThreshold", "1m"], { cwd: path });
    const sizes = { fitting: FITTING_BYTES, main: WHOLE_BYTES - FITTING_BYTES };
    const pieces = Object.entries(sizes).flatMap(([branch, bytes]) => [
      `commit refs/heads/${branch}\ncommitter A <a@example.com> 1700000000 +0000\ndata 2\nc\n`,
      `M 100644 inline file\ndata ${bytes}\n`,
      randomBytes(bytes),
      "\n",
    ]);
    const input = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
    await git(["-c", "core.compression=0", "fast-import", "--quiet"], { cwd: path, input });
  }

  async function publish(): Promise<void> {
    const { store } = front;
    const builder = await MirrorBuilder.open(store, repository, join(folder.path, "scratch.git"));
    await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    await builder.publish("acme", "large");
    await nameRepository(store, builder.uuid, {
      ...{ workspace: "acme", slug: "large", projectKey: "WEB", isPrivate: false },
    });
  }

  const url = () => `${front.url}/acme/large.git`;

  async function clone(...options: string[]): Promise<{ exitCode: number; stderr: string; target: string }> {
    const target = join(folder.path, `clone-${++clones}`);
    return { ...(await tryGit(["clone", "--bare", ...options, url(), target])), target };
  }

  const refsOf = (path: string) => git(["show-ref"], { cwd: path });
  const primaryFetches = () =>
    bitbucket.controls.requests.filter(({ path }) => path.endsWith("/git-upload-pack")).length;

  test("while the tier is away: an answer just below the limit is sent whole", async () => {
    const { exitCode, stderr, target } = await clone("--single-branch", "--branch", "fitting");
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    const size = await git(["cat-file", "-s", "HEAD:file"], { cwd: target });
    expect(Number(size)).toBe(FITTING_BYTES);
    expect(front.counts().gitHttp?.cold).toBe(1);
  });

  test("one above it is refused with its size, and the next try succeeds at the primary", async () => {
    const first = await clone();
    expect(first.exitCode).not.toBe(0);
    expect(first.stderr).toContain(
      "remote error: this takes 300 MB, and the mirror can send 196 MB in one answer",
    );
    expect(first.stderr).toContain("the same command again, within 10 minutes");
    expect(first.stderr).toContain("-c fetch.uriProtocols=https ");
    expect(primaryFetches()).toBe(0);
    const second = await clone();
    expect(second.exitCode).toBe(0);
    expect(await refsOf(second.target)).toBe(await refsOf(repository));
    expect(primaryFetches()).toBeGreaterThan(0);
    expect(front.log()).not.toContain("http:response-cut");
  });

  test("is cloned whole from the tier, once it runs", async () => {
    const { endpoint, region, bucketName, credentials } = front.s3Server;
    const place = ["--store", `s3://${bucketName}`, "--s3-endpoint", endpoint, "--git-url", bitbucket.gitUrl];
    tier = spawnMirror(["--tier", "--port", String(tierPort), ...place], {
      env: {
        [ENV.streamTierKeys]: TIER_KEY,
        [ENV.stackPrefix]: "Acme",
        AWS_REGION: region,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      },
    });
    await tier.untilPrinted(/tier:listening/);
    // For as long the function believes that it is away.
    await sleep(5_500);
    const before = primaryFetches();
    const { exitCode, stderr, target } = await clone();
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(stderr).toContain(`redirecting to http://127.0.0.1:${tierPort}/-/t/`);
    expect(await refsOf(target)).toBe(await refsOf(repository));
    expect(primaryFetches()).toBe(before);
    const { stdout } = await tier.stop("SIGTERM");
    tier = undefined;
    const [, token = "none"] = /\/-\/t\/([^/]+)/.exec(stderr) ?? [];
    expect(stdout).toContain('"verdict":"tier-token"');
    // CloudWatch counts it with the functions' own.
    expect(stdout).toMatch(/"Clones":1,.*"Namespace":"Acme"/);
    expect(stdout + front.log()).not.toContain(token);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
