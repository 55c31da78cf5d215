/** What the primary is asked about LFS files, and what of its answers counts. */
import { expect, test } from "vitest";
import { askLfsBatch } from "../../../lib/bitbucket/lfs-batch.ts";
import { batchRequestSchema } from "../../support/lfs/api-schemas.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const LFS_TYPE = "application/vnd.git-lfs+json";
const OBJECTS = [
  { oid: A, sizeBytes: 1 },
  { oid: B, sizeBytes: 2 },
];
const entryOf = (oid: string, href: string) => ({ oid, size: 1, actions: { download: { href } } });

/** @returns What it made of the answer, and what was sent. */
async function ask(answer: object, status = 200) {
  const sent: { readonly url: string; readonly init: RequestInit | undefined }[] = [];
  const fetch = async (input: unknown, init?: RequestInit) => {
    sent.push({ url: String(input), init });
    return new Response(JSON.stringify(answer), { status });
  };
  const options = { fetch, repositoryUrl: "https://git.example/acme/sample.git", agent: "a/1" };
  const entries = await askLfsBatch(OBJECTS, { ...options, authorization: "Basic x" });
  return { entries, sent };
}

test("one request as the API's document says, for the basic adapter, that follows no redirect", async () => {
  const { sent } = await ask({ objects: [] });
  expect(sent).toHaveLength(1);
  const [{ url, init } = { url: "", init: undefined }] = sent;
  expect(url).toBe("https://git.example/acme/sample.git/info/lfs/objects/batch");
  const headers = {
    accept: LFS_TYPE,
    "content-type": LFS_TYPE,
    "user-agent": "a/1",
    authorization: "Basic x",
  };
  expect(init).toMatchObject({ method: "POST", redirect: "error", headers });
  expect(batchRequestSchema.parse(JSON.parse(String(init?.body)))).toEqual({
    operation: "download",
    transfers: ["basic"],
    hash_algo: "sha256",
    objects: OBJECTS.map(({ oid, sizeBytes: size }) => ({ oid, size })),
  });
});

test("an entry for each file asked about, once, and none for others", async () => {
  const objects = [
    entryOf(B, "https://x/1"),
    entryOf("c".repeat(64), "https://x/2"),
    entryOf(B, "https://x/3"),
    null,
    5,
  ];
  const { entries } = await ask({ transfer: null, objects });
  expect([...entries.keys()]).toEqual([B]);
});

test.each([
  ["another adapter", { transfer: "bitbucket-media-api", objects: [] }],
  ["no objects", { transfer: "basic" }],
  ["objects that are no list", { objects: {} }],
  ["a list", []],
])("an answer with %s is none", async (_, answer) => {
  await expect(ask(answer)).rejects.toMatchObject({ code: "UPSTREAM", retryable: true });
});

test.each([
  [404, { code: "NOT_FOUND" }],
  [401, { code: "UPSTREAM", retryable: false, context: { status: 401 } }],
  [403, { code: "UPSTREAM", retryable: false, context: { status: 403 } }],
  [429, { code: "UPSTREAM", retryable: true, context: { status: 429 } }],
  [500, { code: "UPSTREAM", retryable: true, context: { status: 500 } }],
])("%i is an error that says so", async (status, error) => {
  await expect(ask({ message: "no" }, status)).rejects.toMatchObject(error);
});
