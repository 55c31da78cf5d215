/** Requests of git-lfs that are no batch of downloads, or a wrong one: each answer is as its API's document says, and costs little. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { utf8 } from "../../support/byte-chunks.ts";
import {
  batchResponseSchema,
  errorSchema,
  lockListSchema,
  lockResponseSchema,
  lockVerifySchema,
} from "../../support/lfs/api-schemas.ts";
import { BATCH_PATH, codesOf, LFS_TYPE } from "../../support/lfs/lfs-rig.ts";
import { useLfsRig } from "../../support/shared-set-ups.ts";

/** Copied, and nowhere. */
let stored: string;
let missing: string;

const rig = useLfsRig(async ({ copier }) => {
  stored = await copier.addFile("a.bin", randomBytes(700));
  missing = await copier.addFile("b.bin", randomBytes(900), { isMissing: true });
});

const lfs = () => rig.primary.fake.lfs;

/** Requests to the store that find the repository, its name and manifest; then those for `lfs.json` and the two tables that it lists. */
const FOUND = 2;
const TABLES = 3;

const post = (body: string, headers: Record<string, string> = {}) =>
  rig.ask(BATCH_PATH, { method: "POST", headers, body: utf8(body) });

const oids = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ oid: i.toString(16).padStart(64, "0"), size: 1 }));
const batchOf = (objects: unknown, operation: unknown = "download") => JSON.stringify({ operation, objects });
const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

describe("a request that is no batch", () => {
  test.each<[string, string, number]>([
    ["half a JSON", "{", 400],
    ["nothing", "", 400],
    ["other bytes than UTF-8", "\u00ff{}", 400],
    ["arrays, 100,000 deep", nested(100_000), 422],
    ["objects, 20,000 deep, cut", '{"operation":'.repeat(20_000), 400],
    ["null", "null", 422],
    ["an array", "[]", 422],
    ["a text", '"download"', 422],
    ["an empty object", "{}", 422],
    ["an unknown operation", batchOf([], "erase"), 422],
    ["an operation of the prototype's", batchOf([], "constructor"), 422],
    ["an operation that is a number", batchOf([], 1), 422],
    ["no operation", '{"objects":[]}', 422],
    ["no objects", '{"operation":"download"}', 422],
    ["objects that are none", batchOf({ length: 1 }), 422],
    ["an object that is a number", batchOf([1]), 422],
    ["an object that is null", batchOf([null]), 422],
    ["an oid that is a number", batchOf([{ oid: 1, size: 1 }]), 422],
    ["no oid", batchOf([{ size: 1 }]), 422],
    ["deep objects", `{"operation":"download","objects":${nested(100_000)}}`, 422],
    ["a hash_algo that is a number", '{"operation":"download","hash_algo":1,"objects":[]}', 422],
    ["1,001 objects", batchOf(oids(1001)), 413],
    ["1,001 times the same", batchOf(Array.from({ length: 1001 }, () => ({ oid: "", size: 0 }))), 413],
    ["100,000 objects", batchOf(oids(100_000)), 413],
    ["80,000 objects without oid", batchOf(Array.from({ length: 80_000 }, () => ({}))), 413],
    ["600 KB of blanks", `{"operation":"download","objects":[]${" ".repeat(600_000)}}`, 413],
  ])("%s", async (_, body, status) => {
    const answer = await post(body);
    expect(answer).toMatchObject({ status, headers: { "content-type": LFS_TYPE } });
    expect(errorSchema.parse(answer.json).message.length).toBeLessThan(120);
    expect(rig.store.counts().requests).toBe(FOUND);
    expect(lfs().batches).toEqual([]);
  });

  test("of the largest size is read", async () => {
    const { status, json } = await rig.download(oids(1000));
    expect([status, json.objects?.length]).toEqual([200, 1000]);
  });

  test.each(["gzip", "br", "zstd"])("a body coded as %s is 415", async (coding) => {
    const answer = await post("{}", { "content-encoding": coding });
    expect(answer).toMatchObject({ status: 415, headers: { "content-type": LFS_TYPE } });
  });

  test.each<[number, string | undefined]>([
    [200, undefined],
    [200, LFS_TYPE],
    [200, `${LFS_TYPE}; charset=utf-8`],
    [200, "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
    [200, "Application/JSON"],
    [406, "text/html"],
    [406, "application/vnd.git-lfs"],
    [406, ""],
  ])("%i for accept: %s", async (status, accept) => {
    const answer = await post(batchOf([{ oid: stored, size: 700 }]), accept === undefined ? {} : { accept });
    expect(answer).toMatchObject({ status, headers: { "content-type": LFS_TYPE } });
  });

  test.each([undefined, "", "text/plain", "application/x-www-form-urlencoded", `${LFS_TYPE};charset=utf-8`])(
    "the content type does not matter: %s",
    async (type) => {
      const body = batchOf([{ oid: stored, size: 700 }]);
      expect(codesOf(await post(body, type === undefined ? {} : { "content-type": type }))).toEqual(["link"]);
    },
  );

  test.each(["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])("%s is 405", async (method) => {
    const answer = await rig.ask(BATCH_PATH, { method });
    expect(answer).toMatchObject({ status: 405, headers: { allow: "POST", "content-type": LFS_TYPE } });
    expect(rig.store.counts().requests).toBe(0);
  });

  test("no such repository is 404, in git-lfs's form", async () => {
    const answer = await rig.ask("/acme/nothing/info/lfs/objects/batch", {
      method: "POST",
      body: utf8("{}"),
    });
    expect(answer).toMatchObject({
      status: 404,
      headers: { "content-type": LFS_TYPE },
      json: { message: /^not found/ },
    });
  });
});

describe("a batch", () => {
  const A = "a".repeat(64);
  const file = () => ({ oid: stored, size: 700 });
  const lost = () => ({ oid: missing, size: 900 });
  type Row = readonly [
    name: string,
    ask: () => readonly { oid: unknown; size?: unknown }[],
    more: object,
    codes: readonly (number | string)[],
    cost: { readonly store: number; readonly primary: number },
  ];
  const NOTHING = { store: FOUND, primary: 0 };
  const OURS = { store: FOUND + TABLES, primary: 0 };
  const ASKED = { store: FOUND + TABLES, primary: 1 };
  const invalid = (name: string, oid: string, size: unknown): Row => [
    name,
    () => [{ oid, size }],
    {},
    [422],
    NOTHING,
  ];

  test.each<Row>([
    ["of nothing", () => [], {}, [], NOTHING],
    ["of a stored file", () => [file()], {}, ["link"], OURS],
    ["with ref null", () => [file()], { ref: null }, ["link"], OURS],
    ["with an unknown ref", () => [file()], { ref: { name: "refs/heads/none" } }, ["link"], OURS],
    ["with a ref that is none", () => [file()], { ref: 7, unknown: 1 }, ["link"], OURS],
    ["with unknown transfers", () => [file()], { transfers: ["bitbucket-media-api", "ssh"] }, ["link"], OURS],
    ["with transfers that are none", () => [file()], { transfers: 5 }, ["link"], OURS],
    ["with hash_algo sha256", () => [file()], { hash_algo: "sha256" }, ["link"], OURS],
    ["with hash_algo null", () => [file()], { hash_algo: null }, ["link"], OURS],
    ["with hash_algo sha1", () => [file(), lost()], { hash_algo: "sha1" }, [409, 409], NOTHING],
    ["with hash_algo SHA256", () => [file()], { hash_algo: "SHA256" }, [409], NOTHING],
    ["that is all missing", () => [lost(), ...oids(2)], {}, [404, 404, 404], ASKED],
    [
      "of which one of three is missing",
      () => [file(), lost(), { oid: A, size: -1 }],
      {},
      ["link", 404, 422],
      ASKED,
    ],
    ["that repeats a file", () => [file(), lost(), { oid: stored, size: 1 }], {}, ["link", 404], ASKED],
    [
      "that repeats what is none",
      () => [
        { oid: "x", size: 1 },
        { oid: "x", size: 2 },
      ],
      {},
      [422],
      NOTHING,
    ],
    invalid("of an upper-case oid", "A".repeat(64), 1),
    invalid("of a short oid", "a".repeat(63), 1),
    invalid("of a long oid", "a".repeat(65), 1),
    invalid("of an oid with a line's end", `${A}\n`, 1),
    invalid("of an empty oid", "", 1),
    invalid("of a path", "../../../config.json", 1),
    invalid("of an oid of the prototype's", "__proto__", 1),
    invalid("with a negative size", A, -1),
    invalid("with a fractional size", A, 1.5),
    invalid("with a size above 2^53", A, 2 ** 54),
    invalid("with a size that is a text", A, "1"),
    invalid("with a size of null", A, null),
    invalid("with a deep size", A, JSON.parse(nested(1000))),
    invalid("without a size", A, undefined),
  ])("%s", async (_name, ask, more, codes, { store, primary }) => {
    const objects = ask();
    const answer = await rig.download(objects as never, more);
    expect(answer).toMatchObject({ status: 200, headers: { "content-type": LFS_TYPE } });
    const { objects: entries, ...rest } = batchResponseSchema.parse(answer.json);
    // Above all no `hash_algo`, which git-lfs would refuse if it does not know it.
    expect(rest).toEqual({ transfer: "basic" });
    expect(entries.map(({ oid }) => oid)).toEqual([...new Set(objects.map(({ oid }) => oid))]);
    expect(codesOf(answer)).toEqual(codes);
    for (const { error, size } of entries)
      if (error?.code === 422)
        expect({ size, ...error }).toMatchObject({ size: 0, message: /64 hex digits/ });
    expect([rig.store.counts().requests, lfs().batches.length]).toEqual([store, primary]);
    expect(rig.queued).toEqual([]);
  });
});

describe("a write, or a lock", () => {
  const upload = () => ({
    method: "POST",
    body: utf8(JSON.stringify({ operation: "upload", objects: [{ oid: stored, size: 700 }] })),
  });

  test("an upload goes to the primary", async () => {
    expect(await rig.ask(BATCH_PATH, upload())).toMatchObject({
      status: 307,
      headers: { location: `${rig.primary.fake.gitUrl}${BATCH_PATH}`, "content-type": LFS_TYPE },
    });
  });

  test.each([
    ["locks?path=x%2Fy&limit=1", "locks?path=x%2Fy&limit=1"],
    ["locks/verify", "locks/verify"],
    ["locks/a.b=/unlock", "locks/a.b=/unlock"],
    ["locks/a%2Fb/unlock", "locks/a%2Fb/unlock"],
    ["locks/x/git-upload-pack/unlock", "locks/x/git-upload-pack/unlock"],
    ["locks/x/info/lfs/y/unlock", "locks/x/info/lfs/y/unlock"],
    ['locks/"ü"/unlock', "locks/%22%C3%BC%22/unlock"],
    ["objects/0123", "objects/0123"],
  ])("%s goes there too", async (path, expected) => {
    const answer = await rig.ask(`/acme/sample/info/lfs/${path}`, {
      method: path.includes("?") ? "GET" : "POST",
    });
    const location = `${rig.primary.fake.gitUrl}/acme/sample.git/info/lfs/${expected}`;
    expect(answer).toMatchObject({ status: 307, headers: { location } });
  });

  test("locks are what the primary says, in the form of the API's document", async () => {
    lfs().misbehave({ locks: true });
    const reach = async (path: string, body?: object) => {
      const parts = { method: body === undefined ? "GET" : "POST", body: utf8(JSON.stringify(body ?? {})) };
      const { status, headers } = await rig.ask(`/acme/sample.git/info/lfs/${path}`, parts);
      expect(status).toBe(307);
      const there = await fetch(headers["location"] ?? "", {
        method: parts.method,
        headers: { authorization: `Basic ${btoa("developer:developer")}` },
        ...(body && { body: JSON.stringify(body) }),
      });
      expect(there.headers.get("content-type")).toBe(LFS_TYPE);
      return there.json();
    };
    const { lock } = lockResponseSchema.parse(await reach("locks", { path: "a.bin" }));
    expect(lockListSchema.parse(await reach("locks")).locks).toEqual([lock]);
    expect(lockVerifySchema.parse(await reach("locks/verify", {})).ours).toEqual([lock]);
    const unlocked = await reach(`locks/${encodeURIComponent(lock.id)}/unlock`, { force: true });
    expect(lockResponseSchema.parse(unlocked).lock).toEqual(lock);
    expect(lockListSchema.parse(await reach("locks")).locks).toEqual([]);
    lfs().misbehave({ locks: false });
    errorSchema.parse(await reach("locks"));
  });

  test.each(["locks/../../../../acme/other.git/info/lfs/locks", "%2e%2e/%2E%2E/git-upload-pack", "../x"])(
    "%s leads nowhere else",
    async (path) => {
      const answer = await rig.ask(`/acme/sample/info/lfs/${path}`, { method: "POST" });
      expect(answer).toMatchObject({ status: 404, headers: { "content-type": LFS_TYPE } });
      expect(answer.headers).not.toHaveProperty("location");
    },
  );

  test("is refused with the line that helps, where the mirror refuses pushes; lists of locks are not", async () => {
    rig.restart({ push: "refuse" });
    const line = `git remote set-url --push origin ${rig.primary.fake.gitUrl}/acme/sample.git`;
    for (const path of ["objects/batch", "locks", "locks/verify", "locks/1/unlock"]) {
      const answer = await rig.ask(`/acme/sample.git/info/lfs/${path}`, upload());
      expect(answer).toMatchObject({ status: 403, json: { message: expect.stringContaining(line) } });
    }
    expect((await rig.ask("/acme/sample.git/info/lfs/locks")).status).toBe(307);
    expect(codesOf(await rig.download([{ oid: stored, size: 700 }]))).toEqual(["link"]);
  });
});
