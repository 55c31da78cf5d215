/** Batches of downloads: what is linked, what the primary says, and what is refused. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { lfsFileKey, repositoryKeys } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { utf8 } from "../../support/byte-chunks.ts";
import { BATCH_PATH, codesOf, HOST, LFS_TYPE } from "../../support/lfs/lfs-rig.ts";
import { useLfsRig } from "../../support/shared-set-ups.ts";
import { keysOf, RIG_UUID } from "../../support/sync-rig.ts";

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

  test("a thousand of them leave the event loop to others", async () => {
    const seconds = Math.floor(Date.now() / 1000);
    const records = Array.from({ length: 1000 }, (_, i) => ({
      ...{
        oid: `e${i.toString(16).padStart(63, "0")}`,
        sizeBytes: 1,
        state: LFS_STATE.stored,
        tries: 0,
        seconds,
      },
    }));
    await rig.copier.rights.add(records);
    let turns = 0;
    const turn = setInterval(() => {
      turns += 1;
    }, 0);
    const answer = await rig.download(records.map(({ oid }) => ({ oid, size: 1 })));
    clearInterval(turn);
    expect(codesOf(answer)?.filter((code) => code === "link")).toHaveLength(1000);
    expect(turns).toBeGreaterThan(10);
    expect(lfs().batches).toEqual([]);
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

  test("is copied once it was asked for, also where the primary does not say its size", async () => {
    rig.restart();
    rig.queued.length = 0;
    lfs().misbehave({ objectChanges: { [atPrimary]: { size: null } } });
    await rig.download([{ oid: atPrimary, size: 500 }]);
    expect(rig.queued).toEqual([[atPrimary]]);
  });

  test("is that whatever size its pointer says", async () => {
    const { json } = await rig.download([{ oid: atPrimary, size: 1 }]);
    expect(json.objects).toMatchObject([{ oid: atPrimary, size: 500, actions: { download: {} } }]);
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

  test("as its pack was not searched for pointers, is what the primary says until that is done", async () => {
    const { packs } = await rig.copier.sync.manifest();
    const keys = repositoryKeys(RIG_UUID);
    const before = await rig.store.read(keys.lfsRights);
    const tables = await Promise.all(
      (await keysOf(rig.store, keys.lfsTableFolder)).map(
        async (key) => [key, await rig.store.read(key)] as const,
      ),
    );
    // As an older release has left it.
    const sidecars = await Promise.all(
      packs.map(async ({ id }) => [keys.packLfs(id), await rig.store.read(keys.packLfs(id))] as const),
    );
    for (const key of [keys.lfsRights, ...[...tables, ...sidecars].map(([key]) => key)])
      await rig.store.delete(key);
    rig.restart();
    const some = [stored, missing].map((oid) => ({ oid, size: 700 }));
    const answer = await rig.download(some);
    expect(codesOf(answer)).toEqual(["link", 404]);
    expect(answer.json.objects?.[0]?.actions?.download?.href).toContain("client=fake");
    expect(rig.queued).toEqual([[stored]]);
    for (const [key, { bytes }] of [[keys.lfsRights, before] as const, ...tables, ...sidecars])
      await rig.store.write(key, bytes);
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
