/**
 * `npm run measure:stream-tier [megabytes]`: whole clones of one repository of noise, by git, from the local server and from a server of the
 * stream tier over the same bucket, in turns. Prints the medians and their ratio.
 */
import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ENV } from "../../lib/config.ts";
import { TierKeys } from "../../lib/git-http/tier-token.ts";
import type { RepositoryReference } from "../../lib/repo/names.ts";
import { resolveRepository } from "../../lib/repo/resolve-repository.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git } from "../support/git/run-git.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { spawnMirror, startMirror } from "../support/mirror-process.ts";
import { startS3Server } from "../support/s3-server/s3-server.ts";

const MEGABYTES = Number(process.argv[2] ?? 300);
const ROUNDS = 5;
const COMMIT_BYTES = 50_000_000;
const KEY = "the key of a tier that is only measured";
const REPOSITORY: RepositoryReference = { kind: "name", workspace: "acme", slug: "large" };

await using folder = await temporaryFolder();
const primary = join(folder.path, "primary");
await makeRepository(join(primary, "acme/large.git"));
const bitbucket = await startFakeBitbucket({ repositoriesFolder: primary });
const s3 = await startS3Server({ folder: join(folder.path, "s3") });
const env = {
  AWS_REGION: s3.region,
  AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
};
const place = ["--store", `s3://${s3.bucketName}`, "--s3-endpoint", s3.endpoint];
const from = ["--git-url", bitbucket.gitUrl, "--api-url", bitbucket.apiUrl];
const local = await startMirror([...place, ...from, "--repository", "acme/large"], { env });
const tier = spawnMirror(["--tier", "--port", "0", ...place], { env: { ...env, [ENV.streamTierKeys]: KEY } });
const tierUrl = await tier.printed(/"url":"(http[^"]+)"[^\n]*tier:listening/);
const store = new S3BlobStore({ client: createS3Client(s3), bucket: s3.bucketName });
const { uuid = "" } = (await resolveRepository(store, REPOSITORY)) ?? {};

const seconds = { local: [] as number[], tier: [] as number[] };
async function measureLocal(): Promise<void> {
  seconds.local.push(await clone(`${local.url}/acme/large.git`));
}

async function measureTier(): Promise<void> {
  const request = { repository: REPOSITORY, authorization: undefined, remoteAddress: undefined };
  const token = new TierKeys(KEY).sign(request, { kind: "allowed" }, uuid, Date.now());
  seconds.tier.push(await clone(`${tierUrl}/-/t/${token}/acme/large.git`));
}

for (let round = 0; round < ROUNDS; round++) {
  const inTurn = [measureLocal, measureTier];
  for (const measure of round % 2 === 0 ? inTurn : inTurn.reverse()) await measure();
}
const [localSeconds, tierSeconds] = [median(seconds.local), median(seconds.tier)];
console.log(`local server ${(MEGABYTES / localSeconds).toFixed(0)} MB/s, ${seconds.local.join(" ")} s`);
console.log(`stream tier  ${(MEGABYTES / tierSeconds).toFixed(0)} MB/s, ${seconds.tier.join(" ")} s`);
console.log(`ratio ${(localSeconds / tierSeconds).toFixed(2)}`);
await Promise.all([local.stop(), tier.stop("SIGTERM")]);
await Promise.all([bitbucket.close(), s3.close()]);

async function makeRepository(path: string): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await git(["init", "--quiet", "--bare", "--initial-branch=main", path]);
  await git(["config", "core.bigFileThreshold", "1m"], { cwd: path });
  for (let number = 0; number * COMMIT_BYTES < MEGABYTES * 1_000_000; number++) {
    const head = `commit refs/heads/main\ncommitter A <a@example.com> ${1_700_000_000 + number} +0000\ndata 2\nc\n`;
    const parent = number === 0 ? "" : "from refs/heads/main^0\n";
    const file = `M 100644 inline file-${number}\ndata ${COMMIT_BYTES}\n`;
    const input = Buffer.concat([Buffer.from(head + parent + file), randomBytes(COMMIT_BYTES)]);
    await git(["-c", "core.compression=0", "fast-import", "--quiet"], { cwd: path, input });
  }
}

async function clone(url: string): Promise<number> {
  const target = join(folder.path, "clone");
  const startedMs = performance.now();
  await git(["clone", "--quiet", "--bare", url, target]);
  const tookSeconds = (performance.now() - startedMs) / 1000;
  await rm(target, { recursive: true });
  return Number(tookSeconds.toFixed(2));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
