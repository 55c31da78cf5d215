/** Rows `lfs-batch…`: a batch of 100 objects that are all stored, in a process that has answered others, over a folder and over S3. */
import { join } from "node:path";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { BlobUrls } from "../../lib/store/blob-urls.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { S3BlobUrls } from "../../lib/store/s3-blob-urls.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { startS3Server } from "../support/s3-server/s3-server.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import { type LfsFiles, makeLfsFiles, mirrorLfs } from "./lfs-files.ts";
import { startLfsServer } from "./lfs-server.ts";
import type { LatencyReport, Row } from "./row.ts";
import type { Workspace } from "./workspace.ts";

const FILES = { count: 1_000, sizeBytes: 100 };
const BATCH_OBJECTS = 100;
const WARM_UP_BATCHES = 50;
const BATCHES = 500;

interface Side {
  readonly store: BlobStore;
  readonly urls?: BlobUrls;
  close(): Promise<void>;
}

export function lfsBatchRow(name: string, kind: "folder" | "s3"): Row {
  return {
    name,
    goals: { p50Ms: 30, p99Ms: 100 },
    async measure(workspace, { isSmoke }) {
      const files = await makeLfsFiles(workspace, [FILES]);
      const side = kind === "folder" ? folderSide(files) : await s3Side(workspace, files);
      try {
        return await measureBatches(name, files, side, isSmoke ? 5 : BATCHES);
      } finally {
        await side.close();
      }
    },
  };
}

function folderSide({ storeFolder }: LfsFiles): Side {
  return { store: new FsBlobStore(storeFolder), close: async () => undefined };
}

/** The links are signed and not followed, so the files are not there. */
async function s3Side(workspace: Workspace, { repository, files }: LfsFiles): Promise<Side> {
  const folder = await workspace.newFolder("s3");
  const server = await startS3Server({ folder: join(folder, "bucket") });
  const client = createS3Client(server);
  const location = { client, bucket: server.bucketName };
  const store = new S3BlobStore(location);
  await mirrorLfs(store, repository, join(folder, "scratch"), files);
  return {
    store,
    urls: new S3BlobUrls({ ...location, protocol: "http" }),
    async close() {
      client.destroy();
      await server.close();
    },
  };
}

async function measureBatches(
  name: string,
  { files }: LfsFiles,
  { store, urls }: Side,
  batches: number,
): Promise<LatencyReport> {
  const counted = new CountingBlobStore(store);
  const server = await startLfsServer(counted, urls);
  try {
    const tookMs: number[] = [];
    for (let batch = 1 - WARM_UP_BATCHES; batch <= batches; batch++) {
      if (batch === 1) counted.reset();
      const objects = Array.from(
        { length: BATCH_OBJECTS },
        (_, i) => files[(i * 7 + batch + WARM_UP_BATCHES) % files.length],
      );
      const startedMs = performance.now();
      await askBatch(server.url, objects as LfsFiles["files"]);
      if (batch > 0) tookMs.push(performance.now() - startedMs);
    }
    const sorted = tookMs.toSorted((a, b) => a - b);
    const percentile = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
    const storeRequests = counted.counts().requests / batches;
    return {
      name,
      times: batches,
      unit: "batches",
      p50Ms: percentile(0.5),
      p99Ms: percentile(0.99),
      storeRequests,
    };
  } finally {
    await server.close();
  }
}

async function askBatch(url: string, objects: LfsFiles["files"]): Promise<void> {
  const response = await fetch(`${url}/${BENCH_WORKSPACE}/${BENCH_SLUG}.git/info/lfs/objects/batch`, {
    method: "POST",
    headers: { "content-type": "application/vnd.git-lfs+json" },
    body: JSON.stringify({
      operation: "download",
      objects: objects.map(({ oid, sizeBytes }) => ({ oid, size: sizeBytes })),
    }),
  });
  const { objects: entries } = (await response.json()) as { objects: { authenticated?: true }[] };
  if (entries.filter(({ authenticated }) => authenticated).length !== BATCH_OBJECTS)
    throw new Error("a batch was answered without links");
}
