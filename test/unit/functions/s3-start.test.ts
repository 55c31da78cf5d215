/** A store that is no usable S3: one clear line and what to do, at the start of the server and in every command. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { assertUsableStore } from "../../../functions/cli/doctor/check-store.ts";
import { explain } from "../../../functions/cli/explain.ts";
import { S3BlobStore } from "../../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../../lib/store/s3-client.ts";
import { runCli } from "../../support/cli.ts";

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** @returns Its URL. */
async function serve(answer: (method: string, isRange: boolean) => Answer): Promise<string> {
  server = createServer((request, response) => {
    request.resume().on("end", () => {
      const isRange = request.headers.range !== undefined;
      const { status, type = "application/xml", headers, body = "" } = answer(request.method ?? "", isRange);
      response
        .writeHead(status, { "content-type": type, "content-length": body.length, ...headers })
        .end(request.method === "HEAD" ? undefined : body);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const CREDENTIALS = { accessKeyId: "a", secretAccessKey: "b" };
const storeAt = (endpoint: string) =>
  new S3BlobStore({ client: createS3Client({ endpoint, credentials: CREDENTIALS }), bucket: "b" });
const errorXml = (code: string) =>
  `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;

/** Of a server that keeps what the check writes first, and looks at no condition. */
function stored(etag: string, method: string, isRange: boolean): Answer {
  const body = isRange ? "irs" : "first";
  if (method === "GET") return { status: isRange ? 206 : 200, headers: { etag }, body };
  return { status: method === "DELETE" ? 204 : 200, headers: { etag } };
}

test.each<[string, (method: string, isRange: boolean) => Answer, RegExp, RegExp]>([
  [
    "a page",
    () => ({ status: 403, type: "text/html", body: "<html>Forbidden</html>" }),
    /answers 403, with something that is not S3's$/,
    /^Check --s3-endpoint/,
  ],
  [
    "a page with 200",
    () => ({ status: 200, type: "text/html", body: "<html>Welcome</html>" }),
    /without ETag$/,
    /rights to get, put/,
  ],
  [
    "a bucket elsewhere",
    () => ({
      status: 301,
      headers: { "x-amz-bucket-region": "eu-west-1" },
      body: errorXml("PermanentRedirect"),
    }),
    /the bucket is in region eu-west-1$/,
    /^Set AWS_REGION to eu-west-1/,
  ],
  [
    "no conditional writes",
    (method) =>
      method === "PUT"
        ? { status: 501, body: errorXml("NotImplemented") }
        : { status: 404, body: errorXml("NoSuchKey") },
    /does not implement a part of S3/,
    /conditional writes/,
  ],
  [
    "conditions that are ignored",
    (method, isRange) => stored('"1"', method, isRange),
    /ignores the condition of a write/,
    /conditional writes/,
  ],
  ["weak ETags", (method, isRange) => stored('W/"1"', method, isRange), /weak ETags/, /conditional writes/],
])("%s", async (_, answer, what, advice) => {
  const store = storeAt(await serve(answer));
  const error: unknown = await assertUsableStore(store).then(
    () => expect.fail("it started"),
    (reason: unknown) => reason,
  );
  const findings = explain(error).split("\n");
  expect(findings.slice(0, 1)).toEqual([expect.stringMatching(what)]);
  expect(findings.slice(1).map((line) => line.trim())).toEqual([expect.stringMatching(advice)]);
});

test("a command says it in one line as well", async () => {
  const endpoint = await serve(() => ({ status: 403, type: "text/html", body: "<html>Forbidden</html>" }));
  const env = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" };
  const { exitCode, stderr } = await runCli(
    ["status", "--store", "s3://b/x", "--s3-endpoint", endpoint],
    env,
  );
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /^nearside: the S3 server answers 403, with something that is not S3's \[NOT_S3\]\n {2}Check .*\n$/,
  );
});
