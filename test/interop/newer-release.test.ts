/**
 * Two releases over one store in turn: this one, and a newer one that adds fields to every document and a sidecar in another form.
 * Nothing that the newer one wrote is lost, no generation starts anew, and no sidecar is written twice.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { documentChecksum, type JsonObject } from "../../lib/document-json.ts";
import { NewerReleaseError } from "../../lib/errors.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { manifestDocument } from "../../lib/repo/manifest.ts";
import { readName } from "../../lib/repo/names.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { ClockedRig, MINUTE_MS } from "../support/clocked-rig.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import { keysOf } from "../support/sync-rig.ts";

const HOUR_MS = 60 * MINUTE_MS;
const DOCUMENT_FOLDERS = ["config.json", "names/", "projects/", "workspaces/", "repos/"];

let clocked: ClockedRig;
let uuid: string;
/** How often each blob of a pack was written. */
let writeCounts: Map<string, number>;

beforeEach(async () => {
  writeCounts = new Map();
  const after = ({ kind, key }: { kind: string; key: string }) => {
    if ((kind === "write" || kind === "part") && /\/pack-[0-9a-f]{40}\.(idx|history|lfs)/.test(key))
      writeCounts.set(key, (writeCounts.get(key) ?? 0) + 1);
  };
  clocked = await ClockedRig.startOver(new MemoryBlobStore({ faults: { after } }), "one", "two");
  await round();
  uuid = (await readName(clocked.rig.store, "acme", "one"))?.uuid ?? expect.fail("not mirrored");
});

afterEach(() => clocked.rig.close());

async function round(): Promise<void> {
  await clocked.reconcile("list");
  await clocked.runJobs();
  clocked.nowMs += 7 * HOUR_MS;
}

async function readJson(key: string): Promise<JsonObject> {
  return JSON.parse(new TextDecoder().decode((await clocked.rig.store.read(key)).bytes));
}

async function writeJson(key: string, { checksum, ...document }: JsonObject): Promise<void> {
  const whole = checksum === undefined ? document : { ...document, checksum: documentChecksum(document) };
  await clocked.rig.store.write(key, new TextEncoder().encode(JSON.stringify(whole)));
}

async function documents(): Promise<string[]> {
  const keys = await Promise.all(DOCUMENT_FOLDERS.map((prefix) => keysOf(clocked.rig.store, prefix)));
  return keys.flat().filter((key) => key.endsWith(".json"));
}

/** What a newer release does to a document: a field in each object. */
function withNewFields(json: JsonObject[string]): JsonObject[string] {
  if (Array.isArray(json)) return json.map(withNewFields);
  if (typeof json !== "object" || json === null) return json;
  const fields = Object.entries(json).map(([name, value]) => [name, withNewFields(value)] as const);
  return { ...Object.fromEntries(fields), inNewerRelease: { at: "each level" } };
}

async function asNewerRelease(): Promise<void> {
  for (const key of await documents()) {
    const json = await readJson(key);
    if (json["tombstone"] === true) continue;
    const newer = withNewFields(json) as JsonObject;
    // Objects whose keys are data stay as they are.
    const { repositories, unnamed, checksum } = json;
    const { inNewerRelease: _, ...newRepositories } = (newer["repositories"] ?? {}) as JsonObject;
    await writeJson(key, {
      ...newer,
      ...(repositories !== undefined && { repositories: newRepositories }),
      ...(unnamed !== undefined && { unnamed }),
      ...(checksum !== undefined && { checksum }),
      ...(key === "config.json" && { formatVersion: 2 }),
    });
  }
}

/** The newer release's sync: a sidecar of its own form for each pack, and none of ours for what it fetched last. */
async function asNewerSync(): Promise<void> {
  const keys = repositoryKeys(uuid);
  const document = manifestDocument(clocked.rig.store, uuid);
  await document.change((manifest) => {
    if (manifest === undefined) return undefined;
    const packs = manifest.packs.map(({ historyBytes, ...pack }, place) =>
      place === manifest.packs.length - 1 || historyBytes === undefined ? pack : { ...pack, historyBytes },
    );
    return { ...manifest, generation: manifest.generation + 1, packs };
  });
  const { packs } = (await document.read()).value ?? expect.fail("no manifest");
  for (const { id } of packs) {
    const key = keys.packHistory(id).replace(/-\d+$/, "-99");
    await clocked.rig.store.write(key, new TextEncoder().encode("newer form"));
  }
  const last = packs.at(-1)?.id ?? "";
  await clocked.rig.store.delete(keys.packHistory(last));
}

test("newer, this, newer, this: all is served and synchronized, nothing is lost or written twice", async () => {
  const keys = repositoryKeys(uuid);
  await asNewerRelease();
  const generations: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const commit = await clocked.rig.commit("acme", "one");
    clocked.queue(await clocked.jobFor("one", "push"));
    await clocked.runJobs();
    await round();
    expect(await clocked.rig.serves("acme/one")).toBe("equal");
    expect(await clocked.rig.serves("acme/two")).toBe("equal");
    const manifest = await readJson(keys.manifest);
    generations.push(Number(manifest["generation"]));
    expect(commit).not.toBe("");
    for (const key of [
      keys.manifest,
      keys.record,
      "names/acme/one.json",
      "workspaces/acme.json",
      "config.json",
    ])
      expect(await readJson(key), key).toMatchObject({ inNewerRelease: { at: "each level" } });
    expect(manifest["packs"]).toContainEqual(
      expect.objectContaining({ inNewerRelease: { at: "each level" } }),
    );
    await asNewerRelease();
    await asNewerSync();
  }
  // One push each, and the newer release's own generation in between.
  expect(generations).toEqual([2, 4, 6]);
  const found = await keysOf(clocked.rig.store, keys.packFolder);
  expect(found.filter((key) => key.endsWith(".history-99")).length).toBeGreaterThan(1);
  for (const [key, count] of writeCounts) {
    // This release's form is written once more where the newer one has stored the pack without it.
    const isOwn = /\.history-\d+$/.test(key) && !key.endsWith("-99");
    expect(count, key).toBeLessThanOrEqual(key.endsWith("-99") ? 3 : isOwn || key.endsWith(".lfs-1") ? 2 : 1);
  }
  clocked.queue({ ...(await clocked.jobFor("one", "push")), reason: "check" });
  await clocked.rig.commit("acme", "one");
  await clocked.runJobs();
  const storage = { store: clocked.rig.store, blocks: new BlockCache(clocked.rig.store) };
  const repository = await openRepository(storage, uuid);
  await repository.openObjects();
  expect(repository.damagedHistories).toEqual([]);
});

test("what must be understood stops that repository, names what it lacks, and is not written", async () => {
  const keys = repositoryKeys(uuid);
  const store = clocked.rig.store;
  for (const key of [keys.manifest, keys.record, "names/acme/one.json", keys.janitorNotes]) {
    const before = await store.read(key);
    await writeJson(key, { ...(await readJson(key)), mustUnderstand: ["sha256-objects"] });
    const { version } = await store.read(key);
    await clocked.rig.commit("acme", "one");
    await clocked.rig.commit("acme", "two");
    const facts = { workspace: "acme", slug: "one", isPrivate: false, projectKey: "CORE" };
    const at = new Date(clocked.nowMs).toISOString();
    clocked.queue({
      ...{ kind: "repository", workspace: "acme", uuid, reason: "push", queuedAt: at },
      ...{ facts: { ...facts, seenAt: at }, factsFrom: "event" },
    });
    for (const run of [clocked.runJobs.bind(clocked), round]) {
      const failure = await run().then(
        () => undefined,
        (error: unknown) => error,
      );
      // What only the janitor reads stops no sync.
      if (key === keys.janitorNotes) expect(failure).toBe(undefined);
      else {
        expect(failure, key).toBeInstanceOf(NewerReleaseError);
        expect(String(failure)).toContain(`a newer release wrote ${key}: it uses "sha256-objects"`);
      }
    }
    clocked.queued = [];
    expect((await store.read(key)).version, key).toBe(version);
    clocked.queue(await clocked.jobFor("two", "push"));
    await clocked.runJobs();
    expect(await clocked.rig.serves("acme/two")).toBe("equal");
    await store.write(key, before.bytes);
  }
  await round();
  expect(await clocked.rig.serves("acme/one")).toBe("equal");
  expect(new Set(writeCounts.values())).toEqual(new Set([1]));
});
