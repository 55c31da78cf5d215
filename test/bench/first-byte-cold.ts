/**
 * Row `first-byte-cold`: a function's process starts under AWS's runtime client, is given the request for the pack of a clone, and reads
 * from an S3 server: from the spawn to the first byte of the answer, beyond the start of a Node that has nothing to run.
 */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { ENV } from "../../lib/config.ts";
import { encodeFetchRequestV2 } from "../../lib/git/fetch-pack.ts";
import { parseObjectId } from "../../lib/git/object-id.ts";
import { formatDecision } from "../../lib/git-http/access-decision.ts";
import type { ApiGatewayEvent } from "../../lib/http/api-gateway-event.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { startEnvironment } from "../support/aws-front/execution-environment.ts";
import { MirrorBuilder, OFS_ALL } from "../support/git/mirror-builder.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { nameRepository } from "../support/named-repository.ts";
import { startS3Server } from "../support/s3-server/s3-server.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import { FUNCTION_ENVIRONMENT, inOrder, median, startedMs } from "./cold-start.ts";
import type { LatencyReport, Row } from "./row.ts";
import type { Workspace } from "./workspace.ts";

const STARTS = 15;
const COMMITS = 200;
const PATH = `/${BENCH_WORKSPACE}/${BENCH_SLUG}.git/git-upload-pack`;

/** @param runtimeClient - Entry file of aws-lambda-ric. */
export function firstByteRow(runtimeClient: string): Row {
  return {
    name: "first-byte-cold",
    goals: { p50Ms: 400, p99Ms: 800 },
    measure: (workspace, { isSmoke }) => measureFirstBytes(workspace, runtimeClient, isSmoke ? 2 : STARTS),
  };
}

async function measureFirstBytes(
  workspace: Workspace,
  runtimeClient: string,
  starts: number,
): Promise<LatencyReport> {
  const folder = await workspace.newFolder("first-byte");
  const codeFolder = join(folder, "code");
  await bundleFunction(FUNCTION_SOURCES.gitHttp, codeFolder);
  const server = await startS3Server({ folder: join(folder, "bucket") });
  const client = createS3Client(server);
  try {
    const store = new S3BlobStore({ client, bucket: server.bucketName });
    const event = await mirrored(workspace, folder, store);
    const environment = {
      ...FUNCTION_ENVIRONMENT,
      [ENV.bucket]: server.bucketName,
      AWS_ENDPOINT_URL_S3: server.endpoint,
      AWS_REGION: server.region,
      AWS_ACCESS_KEY_ID: server.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
    };
    const bareMs: number[] = [];
    const answeredMs: number[] = [];
    for (let start = 0; start <= starts; start++) {
      const took = [
        await startedMs("0"),
        await firstByteMs({ runtimeClient, codeFolder }, environment, event),
      ];
      // The first reads the files from disk.
      if (start === 0) continue;
      bareMs.push(took[0] ?? Number.NaN);
      answeredMs.push(took[1] ?? Number.NaN);
    }
    const besideMs = median(bareMs.toSorted(inOrder));
    const sorted = answeredMs.toSorted(inOrder);
    return {
      ...{ name: "first-byte-cold", times: starts, unit: "starts", besideMs },
      p50Ms: median(sorted) - besideMs,
      p99Ms: (sorted.at(-1) ?? Number.NaN) - besideMs,
    };
  } finally {
    client.destroy();
    await server.close();
  }
}

/** Mirrors a small repository. @returns The request for the pack of a clone, as API Gateway passes it on. */
async function mirrored(workspace: Workspace, folder: string, store: S3BlobStore): Promise<ApiGatewayEvent> {
  const sample = join(folder, "sample.git");
  await makeSampleRepository(sample, { commitCount: COMMITS });
  const builder = await MirrorBuilder.open(store, sample, join(folder, "scratch.git"));
  await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await builder.publish(BENCH_WORKSPACE, BENCH_SLUG);
  const names = { workspace: BENCH_WORKSPACE, slug: BENCH_SLUG, projectKey: "WEB", isPrivate: false };
  await nameRepository(store, builder.uuid, names);
  await changeMirrorConfig(store, () =>
    mirrorConfigOf([{ workspace: BENCH_WORKSPACE, credential: "bot", projects: "all" }]),
  );
  const tip = parseObjectId(await workspace.git(["rev-parse", "HEAD"], { cwd: sample }));
  const body = encodeFetchRequestV2({ wants: [tip], haves: [], agent: "git/2.39.5" });
  const repository = { kind: "name", workspace: BENCH_WORKSPACE, slug: BENCH_SLUG } as const;
  const decision = { kind: "allowed", uuid: builder.uuid } as const;
  return {
    httpMethod: "POST",
    path: PATH,
    headers: {
      "content-type": "application/x-git-upload-pack-request",
      "git-protocol": "version=2",
    },
    body: Buffer.from(body).toString("base64"),
    isBase64Encoded: true,
    requestContext: {
      path: `/git${PATH}`,
      identity: { sourceIp: "192.0.2.1" },
      authorizer: {
        access: formatDecision(decision, { service: "upload-pack", repository }),
        caller: randomUUID(),
      },
    },
  };
}

async function firstByteMs(
  code: { readonly runtimeClient: string; readonly codeFolder: string },
  environment: Readonly<Record<string, string>>,
  event: ApiGatewayEvent,
): Promise<number> {
  const beganMs = performance.now();
  let onReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  let log = "";
  const limits = { memoryMib: 1769, timeoutMs: 60_000, temporaryStorageMib: 512 };
  const process = await startEnvironment({
    ...code,
    definition: { id: "FirstByte", roleId: "", reservedConcurrency: undefined, ...limits, environment },
    onLog: (text) => {
      log += text;
    },
    onReady,
    onEnd: onReady,
  });
  try {
    await ready;
    const outcome = await process.invoke(event);
    if (outcome.kind === "failed") throw new Error(`the function failed: ${outcome.errorMessage} ${log}`);
    await untilBody(outcome.response);
    return performance.now() - beganMs;
  } finally {
    await process.end();
  }
}

/** Eight zero bytes end status and headers, which come first. */
const PRELUDE_END = Buffer.alloc(8);

async function untilBody(response: IncomingMessage): Promise<void> {
  let received = Buffer.alloc(0);
  for await (const chunk of response as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk]);
    const end = received.indexOf(PRELUDE_END);
    if (end < 0 || received.length === end + PRELUDE_END.length) continue;
    const { statusCode } = JSON.parse(received.subarray(0, end).toString()) as { statusCode?: number };
    if (statusCode !== 200) throw new Error(`the function answered ${statusCode}`);
    return;
  }
  throw new Error("the function's answer has no body");
}
