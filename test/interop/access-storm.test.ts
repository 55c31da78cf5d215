/** As many authorizers as a deployed mirror has processes, over an S3 server: what a storm of jobs costs the primary. */
import { join } from "node:path";
import type { S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { accessOverStore } from "../../lib/git-http/access-over-store.ts";
import type { DecideAccess } from "../../lib/git-http/decide-access.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { writeName } from "../support/named-repository.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";

const PROCESSES = 25;
const CLONES = 100;
const CREDENTIALS = 10;

let acme: AcmeWorkspace;
let s3Server: S3Server;
let client: S3Client;
let store: CountingBlobStore;
let decideIn: readonly DecideAccess[];
let nowMs = Date.now();

beforeAll(async () => {
  acme = await openAcmeWorkspace();
  s3Server = await startS3Server({ folder: join(acme.folder, "s3") });
  const { endpoint, credentials, region, bucketName: bucket } = s3Server;
  client = createS3Client({ endpoint, credentials, region });
  store = new CountingBlobStore(new S3BlobStore({ client, bucket }));
  await writeName(store, "acme", "vault", "0a1b2c3d-0000-4000-8000-00000000000a");
  decideIn = Array.from({ length: PROCESSES }, () =>
    accessOverStore({
      store,
      probeQuestions: async () => [],
      secret: "a secret that is long enough for a test",
      fetch,
      gitUrl: acme.fake.gitUrl,
      agent: "nearside/test",
      settings: {
        allowsAnonymous: true,
        anonymousPerMinute: 0,
        anonymousTotalPerMinute: 0,
        wrongCredentialsPerMinute: 0,
        staleMinutes: 15,
        relaysPushes: false,
      },
      log: SILENT_LOGGER,
      now: () => nowMs,
    }),
  );
  const callers = Array.from({ length: CREDENTIALS }, (_, index) => ({
    name: `job${index}`,
    token: `job-secret-${index}`,
    rights: { acme: "read" as const },
  }));
  acme.fake.controls.replaceAccounts({ callers });
});

afterAll(async () => {
  client.destroy();
  await s3Server.close();
  await acme.close();
});

async function decideFor(clone: number): Promise<string> {
  const job = clone % CREDENTIALS;
  const decide = decideIn[Math.floor(clone / CREDENTIALS) % PROCESSES];
  const decision = await decide?.({
    request: {
      method: "GET",
      path: "/acme/vault.git/info/refs",
      query: new URLSearchParams({ service: "git-upload-pack" }),
      headers: { authorization: `Basic ${btoa(`job${job}:job-secret-${job}`)}` },
      body: noBody(),
      signal: new AbortController().signal,
    },
    service: "info-refs",
    repository: { kind: "name", workspace: "acme", slug: "vault" },
  });
  return decision?.kind ?? "";
}

async function* noBody(): AsyncGenerator<Uint8Array, void, undefined> {}

async function storm(): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: CLONES }, (_, clone) => decideFor(clone))));
}

test(`${CLONES} clones at once with ${CREDENTIALS} credentials over ${PROCESSES} processes: at most two checks for each`, async () => {
  for (const round of ["cold", "when nothing that is known counts any more"]) {
    acme.fake.controls.clearRequests();
    store.reset();
    expect(await storm(), round).toEqual(new Set(["allowed"]));
    const checks = acme.fake.controls.requests.filter(({ path }) => path.endsWith("/info/refs"));
    expect(checks.length, round).toBeLessThanOrEqual(2 * CREDENTIALS);
    // Each clone reads the name and the verdict, most try once for the claim, and wait for its answer.
    expect(store.counts().requests / CLONES, round).toBeLessThan(12);
    nowMs += 16 * 60_000;
  }
});
