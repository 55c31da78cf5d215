/** Batches of downloads: what is linked, what the primary says, and what is refused. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { utf8 } from "../../support/byte-chunks.ts";
import { BATCH_PATH, codesOf, HOST, LFS_TYPE } from "../../support/lfs/lfs-rig.ts";
import { useLfsRig } from "../../support/shared-set-ups.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

/** Copied, at the primary only, and nowhere. */
let stored: string;
let atPrimary: string;
let odd: string;
let missing: string;

const rig = useLfsRig(async ({ copier }) => {
  atPrimary = await copier.addFile("a.bin", randomBytes(500));
  odd = await copier.addFile("a.bin", randomBytes(600));
  stored = await copier.addFile("a.bin", randomBytes(700));
  missing = await copier.addFile("b.bin", randomBytes(900), { isMissing: true });
});

const lfs = () => rig.primary.fake.lfs;

describe("a file that is stored and confirmed", () => {
  test("is linked, without a word to the primary", async () => {
    const { status, headers, json } = await rig.download([{ oid: stored, size: 700 }]);
    expect({ status, type: headers["content-type"] }).toEqual({ status: 200, type: LFS_TYPE });
    expect(json).toEqual({
      transfer: "basic",
      objects: [
        {
          oid: stored,
          size: 700,
          authenticated: true,
          actions: { download: { href: expect.any(String), expires_in: 3540 } },
        },
      ],
    });
    const href = new URL(json.objects?.[0]?.actions?.download?.href ?? "");
    expect(href.host).toBe(HOST);
    expect(href.pathname).toBe(`/~blobs/${lfsFileKey(stored)}`);
    expect(lfs().batches).toEqual([]);
    expect(rig.queued).toEqual([]);
  });

  test.each([
    [600, 540],
    [61, 60],
    [0, 60],
  ])("is linked for %i s, and said to be for %i", async (lifetimeSeconds, expected) => {
    const urls = {
      protocolOf: () => "https" as const,
      urlOf: async () => "https://x/",
      lifetimeSeconds: async () => lifetimeSeconds,
    } as const;
    rig.restart({ urls });
    const { json } = await rig.download([{ oid: stored, size: 700 }]);
    expect(json.objects?.[0]?.actions?.download?.expires_in).toBe(expected);
  });

  test("has its true size, whatever a pointer says", async () => {
    const { json } = await rig.download([{ oid: stored, size: 1 }]);
    expect(json.objects).toMatchObject([{ size: 700 }]);
  });

  test.each([
    [{ host: "mirror.example", "x-forwarded-proto": "https" }, "https://mirror.example/"],
    [{ host: "[::1]:7880" }, "http://[::1]:7880/"],
    [{ host: "evil.example/path?" }, "http://127.0.0.1:1/"],
  ])("is linked where the client has reached the mirror: %o", async (headers, expected) => {
    const body = utf8(JSON.stringify({ operation: "download", objects: [{ oid: stored, size: 700 }] }));
    const { json } = await rig.ask(BATCH_PATH, { method: "POST", headers, body });
    expect(json.objects?.[0]?.actions?.download?.href.slice(0, expected.length)).toBe(expected);
  });

  test("is served by all forms of the name", async () => {
    const body = utf8(JSON.stringify({ operation: "download", objects: [{ oid: stored, size: 700 }] }));
    for (const path of ["/acme/sample", "/ACME/Sample.git"]) {
      const answer = await rig.ask(`${path}/info/lfs/objects/batch`, { method: "POST", body });
      expect(codesOf(answer)).toEqual(["link"]);
    }
  });
});

describe("a file that is not here", () => {
  test("is what the primary says, word by word, and copied once", async () => {
    const direct = await fetch(`${rig.primary.fake.gitUrl}${BATCH_PATH}`, {
      method: "POST",
      body: JSON.stringify({ operation: "download", objects: [{ oid: atPrimary, size: 500 }] }),
    });
    const { objects } = (await direct.json()) as { objects: [{ actions: { download: { header: object } } }] };
    lfs().reset();
    const first = await rig.download([{ oid: atPrimary, size: 500 }]);
    const [entry] = first.json.objects ?? [];
    const shapeOf = (value: object) => Object.keys(value).toSorted();
    expect(shapeOf(entry?.actions?.download ?? {})).toEqual(shapeOf(objects[0].actions.download));
    expect(entry).toMatchObject({ oid: atPrimary, size: 500, authenticated: true });
    expect(lfs().batches).toMatchObject([{ operation: "download", transfers: ["basic"], oids: [atPrimary] }]);
    const { href = "", header = {} } = entry?.actions?.download ?? {};
    const file = await fetch(href, { headers: header as Record<string, string> });
    expect((await file.bytes()).length).toBe(500);
    await rig.download([{ oid: atPrimary, size: 500 }]);
    expect(rig.queued).toEqual([[atPrimary]]);
  });

  test("is linked once it was copied", async () => {
    const late = await rig.copier.addFile("c.bin", randomBytes(300));
    await rig.copier.sync.sync();
    rig.restart({
      queue: ({ workspace, uuid }, files) =>
        requestCopies(
          { send: async (sent) => void rig.copier.messages.push(...sent) },
          { workspace, uuid },
          files,
        ),
    });
    const before = await rig.download([{ oid: late, size: 300 }]);
    expect(before.json.objects?.[0]?.actions?.download?.href).toContain("client=fake");
    expect(rig.copier.messages.map(({ body }) => JSON.parse(body))).toMatchObject([
      { kind: "copy", workspace: "acme", uuid: RIG_UUID, objects: [{ oid: late, sizeBytes: 300 }] },
    ]);
    await rig.copier.runJobs();
    lfs().reset();
    const after = await rig.download([{ oid: late, size: 300 }]);
    expect(after.json.objects?.[0]?.actions?.download?.href).toContain(HOST);
    expect(lfs().batches).toEqual([]);
  });

  test("where the queue fails, the answer is given all the same, and the next one asks again", async () => {
    let tries = 0;
    rig.restart({
      queue: async () => {
        tries += 1;
        throw new Error("no queue");
      },
    });
    for (let i = 0; i < 2; i++)
      expect(codesOf(await rig.download([{ oid: atPrimary, size: 500 }]))).toEqual(["link"]);
    expect(tries).toBe(2);
  });

  test("nor at the primary: 404 for that one, and nothing is copied", async () => {
    expect(await rig.copier.record(missing)).toMatchObject({ state: LFS_STATE.missing });
    const some = [
      { oid: missing, size: 900 },
      { oid: stored, size: 700 },
      { oid: "0".repeat(64), size: 1 },
    ];
    expect(codesOf(await rig.download(some))).toEqual([404, "link", 404]);
    expect(lfs().batches).toHaveLength(1);
    expect(rig.queued).toEqual([]);
  });

  test.each([{ size: null }, { error: null, authenticated: null }, { more: { href: "/x", nothing: null } }])(
    "is that also with members that are null or unknown: %j",
    async (changes) => {
      lfs().misbehave({ objectChanges: { [atPrimary]: changes } });
      const { json } = await rig.download([{ oid: atPrimary, size: 500 }]);
      expect(json.objects).toMatchObject([{ oid: atPrimary, ...changes, actions: expect.anything() }]);
    },
  );

  test("without actions it is that, too, and nothing is copied", async () => {
    lfs().misbehave({ objectChanges: { [atPrimary]: { actions: null } } });
    const { json } = await rig.download([{ oid: atPrimary, size: 500 }]);
    expect(json.objects).toEqual([{ oid: atPrimary, size: 500, authenticated: true, actions: null }]);
    expect(rig.queued).toEqual([]);
  });

  test.each([
    { size: "500" },
    { size: 1.5 },
    { error: { code: "404" } },
    { actions: { download: { href: "/relative" } } },
    { actions: { download: { href: "https://media.example/x", header: { "X-Number": 7 } } } },
  ])("which git-lfs could not read costs only itself: %j", async (changes) => {
    lfs().misbehave({ objectChanges: { [odd]: changes } });
    const some = [stored, odd, atPrimary].map((oid) => ({ oid, size: 500 }));
    expect(codesOf(await rig.download(some))).toEqual(["link", 503, "link"]);
  });

  test("a thousand of them are asked for by the hundred", async () => {
    const some = Array.from({ length: 1000 }, (_, i) => ({ oid: i.toString(16).padStart(64, "0"), size: 1 }));
    const { json } = await rig.download(some);
    expect(json.objects?.map(({ oid }) => oid)).toEqual(some.map(({ oid }) => oid));
    expect(lfs().batches.map(({ oids }) => oids.length)).toEqual(Array.from({ length: 10 }, () => 100));
  });
});

describe("while the primary fails", () => {
  const both = () => [
    { oid: stored, size: 700 },
    { oid: atPrimary, size: 500 },
  ];

  test.each([
    [500, 503],
    [503, 503],
    [401, 403],
    [403, 403],
    [404, 404],
  ])("with %i: what is stored is linked, the rest is %i", async (batchStatus, code) => {
    lfs().misbehave({ batchStatus });
    const answer = await rig.download(both());
    expect([answer.status, ...(codesOf(answer) ?? [])]).toEqual([200, "link", code]);
  });

  test("a limited rate is waited for", async () => {
    lfs().misbehave({ batchStatus: 429, batchRetryAfterSeconds: 7 });
    const answer = await rig.download(both());
    expect([answer.status, answer.headers["retry-after"], answer.headers["content-type"]]).toEqual([
      429,
      "7",
      LFS_TYPE,
    ]);
  });

  test.each([500, 429, 403])(
    "with %i for the first hundred of a thousand, it is not asked again",
    async (status) => {
      lfs().misbehave({ batchStatus: status, batchRetryAfterSeconds: 900 });
      const many = Array.from({ length: 999 }, (_, i) => ({
        oid: i.toString(16).padStart(64, "0"),
        size: 1,
      }));
      const answer = await rig.download([{ oid: stored, size: 700 }, ...many]);
      expect(lfs().batches).toHaveLength(1);
      const code = status === 500 ? 503 : status;
      expect(codesOf(answer)).toEqual(["link", ...many.map(() => code)]);
    },
  );

  test.each([60, 61])("one of %i s is waited for only if that is a minute at most", async (seconds) => {
    lfs().misbehave({ batchStatus: 429, batchRetryAfterSeconds: seconds });
    const answers = [await rig.download(both()), await rig.download([{ oid: atPrimary, size: 500 }])];
    const found = answers.map((answer) => [answer.status, codesOf(answer)]);
    if (seconds === 60) {
      expect(found).toEqual([
        [429, undefined],
        [429, undefined],
      ]);
      expect(answers[0]?.headers["retry-after"]).toBe("60");
    } else
      expect(found).toEqual([
        [200, ["link", 429]],
        [200, [429]],
      ]);
  });

  test("an object that the primary leaves out of its answer is 503, and nothing is copied", async () => {
    lfs().misbehave({ leftOut: [atPrimary] });
    expect(codesOf(await rig.download(both()))).toEqual(["link", 503]);
    expect(rig.queued).toEqual([]);
  });

  test("each oid is answered once, with the primary's own error", async () => {
    lfs().misbehave({ objectErrors: { [atPrimary]: { code: 410, message: "Gone" } } });
    const { json } = await rig.download([...both(), ...both()]);
    expect(json.objects?.map(({ oid }) => oid)).toEqual([stored, atPrimary]);
    expect(json.objects?.[1]?.error).toEqual({ code: 410, message: "Gone" });
  });
});
