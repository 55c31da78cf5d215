/** Requests of git-lfs that are no batch of downloads, or a wrong one. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { utf8 } from "../../support/byte-chunks.ts";
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

describe("requests that are wrong", () => {
  const post = (body: string, headers: Record<string, string> = {}) =>
    rig.ask(BATCH_PATH, { method: "POST", headers, body: utf8(body) });

  test.each([
    ["{", 400],
    ["", 400],
    ["\u00ff{}", 400],
    ["null", 422],
    ["[]", 422],
    ["{}", 422],
    ['{"operation":"erase","objects":[]}', 422],
    ['{"operation":"download"}', 422],
    ['{"operation":"download","objects":[1]}', 422],
    ['{"operation":"download","objects":[{"oid":1,"size":1}]}', 422],
    [
      JSON.stringify({
        operation: "download",
        objects: Array.from({ length: 1001 }, () => ({ oid: "", size: 0 })),
      }),
      413,
    ],
    [`{"operation":"download","objects":[]${" ".repeat(600_000)}}`, 413],
  ])("%.60s is %i", async (body, status) => {
    const answer = await post(body);
    expect(answer).toMatchObject({ status, headers: { "content-type": LFS_TYPE }, json: { message: /./ } });
    expect(rig.store.counts().requests).toBeLessThan(5);
    expect(lfs().batches).toEqual([]);
  });

  test("a coded body is 415", async () => {
    expect(await post("{}", { "content-encoding": "gzip" })).toMatchObject({ status: 415 });
  });

  test("another method is 405", async () => {
    const answer = await rig.ask(BATCH_PATH);
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

  test.each<[string, unknown, unknown]>([
    ["upper case", "A".repeat(64), 1],
    ["too short", "a".repeat(63), 1],
    ["empty", "", 1],
    ["a path", "../../../config.json", 1],
    ["a negative size", "a".repeat(64), -1],
    ["a fractional one", "a".repeat(64), 1.5],
    ["a huge one", "a".repeat(64), 2 ** 54],
    ["a text", "a".repeat(64), "1"],
    ["none", "a".repeat(64), undefined],
  ])("an object is 422 by itself: %s", async (_, oid, size) => {
    const { status, json } = await rig.download([{ oid, size }]);
    expect(status).toBe(200);
    expect(json.objects).toMatchObject([{ oid, size: 0, error: { code: 422 } }]);
    expect(lfs().batches).toEqual([]);
  });

  test.each([
    [{ objects: [] }, 200, []],
    [{ ref: null }, 200, ["link"]],
    [{ ref: { name: "refs/heads/main" }, unknown: 1 }, 200, ["link"]],
    [{ transfers: ["bitbucket-media-api", "lfs-standalone-file"] }, 200, ["link"]],
    [{ hash_algo: "sha256" }, 200, ["link"]],
    [{ hash_algo: null }, 200, ["link"]],
    [{ hash_algo: "sha512" }, 200, [409]],
  ])("%o is answered", async (more, status, expected) => {
    const answer = await rig.download([{ oid: stored, size: 700 }], more);
    expect([answer.status, codesOf(answer)]).toEqual([status, expected]);
    expect(answer.json).toMatchObject({ transfer: "basic" });
    expect(answer.json).not.toHaveProperty("hash_algo");
  });

  test("an oid that comes twice is answered once", async () => {
    const twice = [
      { oid: stored, size: 700 },
      { oid: missing, size: 900 },
      { oid: stored, size: 1 },
    ];
    expect((await rig.download(twice)).json.objects?.map(({ oid }) => oid)).toEqual([stored, missing]);
    const wrong = [
      { oid: "x", size: 1 },
      { oid: "x", size: 2 },
    ];
    expect((await rig.download(wrong)).json.objects).toHaveLength(1);
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
