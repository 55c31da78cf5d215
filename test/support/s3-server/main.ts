/** Runs the test S3 server by itself: `node test/support/s3-server/main.ts --folder <folder> [--port <port>] [--json]`. */
import { parseArgs } from "node:util";
import { startS3Server } from "./s3-server.ts";

const { values } = parseArgs({
  options: {
    folder: { type: "string" },
    port: { type: "string", default: "0" },
    bucket: { type: "string", default: "nearside" },
    json: { type: "boolean", default: false },
  },
});
if (values.folder === undefined) {
  console.error("usage: s3-server --folder <folder> [--port <port>] [--bucket <name>] [--json]");
  process.exit(2);
}

const server = await startS3Server({
  folder: values.folder,
  port: Number(values.port),
  bucketName: values.bucket,
});
const { endpoint, region, bucketName, credentials } = server;
console.log(
  values.json
    ? JSON.stringify({ endpoint, region, bucket: bucketName, ...credentials })
    : `S3 at ${endpoint}, bucket ${bucketName}, key ${credentials.accessKeyId}, secret ${credentials.secretAccessKey}`,
);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void server.close().then(() => process.exit(0)));
}
