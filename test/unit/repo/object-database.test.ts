import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CorruptPackError, LimitExceededError } from "../../../lib/errors.ts";
import { type ObjectId, parseObjectId } from "../../../lib/git/object-id.ts";
import { DELTA_TYPE, decodeEntryHead } from "../../../lib/git/pack/pack-format.ts";
import { writePack } from "../../../lib/git/pack/write-pack.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { DEFAULT_OBJECT_LIMITS, ObjectDatabase } from "../../../lib/repo/object-database.ts";
import { openRepository } from "../../../lib/repo/repository.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { collect } from "../../support/byte-chunks.ts";
import { MirrorBuilder, OFS_ALL } from "../../support/git/mirror-builder.ts";
import { git, gitBytes, tryGit } from "../../support/git/run-git.ts";
import { makeSampleRepository } from "../../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { heldObjects } from "../../support/primary.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

let folder: TemporaryFolder;
let sample: string;
let store: CountingBlobStore;
let builder: MirrorBuilder;
let objects: ObjectDatabase;

beforeAll(async () => {
  folder = await temporaryFolder();
  sample = `${folder.path}/sample`;
  await makeSampleRepository(sample);
  await git(["gc", "--quiet"], { cwd: sample });
  store = new CountingBlobStore(new MemoryBlobStore());
  builder = await MirrorBuilder.open(store, sample, `${folder.path}/scratch`);
  await builder.addPack({ revisions: ["main~15"] });
  await builder.addPack({
    revisions: ["main~5", "^main~15"],
    packObjectsOptions: ["--thin", "--delta-base-offset"],
  });
  await builder.addPack({ revisions: ["main", "^main~8"], packObjectsOptions: ["--thin"] });
  await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await builder.publish("acme", "sample");
  objects = await openObjects();
}, 60_000);

afterAll(() => folder.remove());

async function openObjects(): Promise<ObjectDatabase> {
  return (await openRepository({ store, blocks: new BlockCache(store) }, builder.uuid)).openObjects();
}

const numberOf = (id: string) => objects.findId(parseObjectId(id));

async function packOf(options: {
  readonly objectNumbers: Uint32Array;
  readonly ofsDelta: boolean;
  readonly clientHas?: (objectNumber: number) => boolean;
}): Promise<Uint8Array> {
  return collect(writePack({ objects, clientHas: () => false, isThin: true, ...options }));
}

/** The ids that git finds in a pack, after it has checked and indexed it. */
async function idsIn(pack: Uint8Array, repository: string): Promise<string[]> {
  await gitBytes(["init", "--quiet", "--bare", repository]);
  await gitBytes(["index-pack", "--stdin", "--strict"], { cwd: repository, input: pack });
  return heldObjects(repository);
}

describe("objects", () => {
  test("read as git reads them", async () => {
    for (const id of await heldObjects(sample)) {
      const { type, bytes } = await objects.read(numberOf(id));
      expect(await objects.readType(numberOf(id))).toBe(type);
      expect(await git(["hash-object", "--stdin", "--literally", "-t", type], { input: bytes })).toBe(id);
    }
  });

  test("each is listed once, in the order of its place", async () => {
    const numbers = objects.packs.allObjects();
    const ids = [...numbers].map((objectNumber) => objects.objectId(objectNumber));
    expect(ids.toSorted()).toEqual(await heldObjects(sample));
    const places = [...numbers].map((objectNumber) => objects.packs.extent(objectNumber));
    const sorted = places.toSorted((a, b) => a.packNumber - b.packNumber || a.offsetBytes - b.offsetBytes);
    expect(places).toEqual(sorted);
  });

  test("a delta's base is in the same pack before it, or in an older pack", async () => {
    let deltaCount = 0;
    for (const objectNumber of objects.packs.allObjects()) {
      const { packNumber, offsetBytes, endBytes } = objects.packs.extent(objectNumber);
      const entry = await objects.packs.readPackRange(packNumber, offsetBytes, endBytes - offsetBytes);
      const head = decodeEntryHead(entry, 0, entry.length);
      if (head.type !== DELTA_TYPE.ofs && head.type !== DELTA_TYPE.ref) continue;
      deltaCount++;
      const baseNumber =
        head.type === DELTA_TYPE.ref
          ? objects.find(entry, head.baseIdIndex)
          : objects.packs.objectAt(packNumber, offsetBytes - head.baseDistanceBytes);
      const base = objects.packs.extent(baseNumber);
      const isBefore = base.packNumber === packNumber && base.offsetBytes < offsetBytes;
      expect(isBefore || base.packNumber < packNumber).toBe(true);
    }
    expect(deltaCount).toBeGreaterThan(10);
  });

  test("an unknown id has no number", () => {
    expect(numberOf("5".repeat(40))).toBe(-1);
  });

  test("opening reads all indexes in one round", async () => {
    const repository = await openRepository({ store, blocks: new BlockCache(store) }, builder.uuid);
    store.reset();
    await Promise.all([repository.openObjects(), repository.openObjects()]);
    expect(store.counts()).toMatchObject({ requests: 4, rounds: 1 });
  });
});

describe("limits and damage", () => {
  test("an object above the limit is refused by its head alone", async () => {
    const small = new ObjectDatabase(objects.packs, {
      limits: { ...DEFAULT_OBJECT_LIMITS, maxObjectBytes: 10_000 },
    });
    const imageId = await git(["rev-parse", "main:image.bin"], { cwd: sample });
    await expect(small.read(numberOf(imageId))).rejects.toThrow(LimitExceededError);
  });

  test("a delta chain above the limit is refused", async () => {
    const limits = { ...DEFAULT_OBJECT_LIMITS, maxDeltaDepth: 0, maxCachedBytes: 0 };
    const shallow = new ObjectDatabase(objects.packs, { limits });
    const results = await Promise.allSettled(
      [...objects.packs.allObjects()].map((objectNumber) => shallow.read(objectNumber)),
    );
    const reasons = results.filter((result) => result.status === "rejected").map(({ reason }) => reason);
    expect(reasons.length).toBeGreaterThan(0);
    for (const reason of reasons) expect(reason).toBeInstanceOf(CorruptPackError);
  });

  test("a flipped byte in a copied entry is an error, never a pack", async () => {
    const copy = new MemoryBlobStore();
    const keys = repositoryKeys(builder.uuid);
    for await (const { key } of store.list(keys.prefix)) await copy.write(key, (await store.read(key)).bytes);
    const objectNumber = numberOf(await git(["rev-parse", "main:image.bin"], { cwd: sample }));
    const { packNumber, offsetBytes, endBytes } = objects.packs.extent(objectNumber);
    const repository = await openRepository({ store: copy, blocks: new BlockCache(copy) }, builder.uuid);
    const packKey = keys.pack(repository.manifest.packs[packNumber]?.id ?? "");
    const { bytes } = await copy.read(packKey);
    const middle = Math.floor((offsetBytes + endBytes) / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    await copy.write(packKey, bytes);
    const damaged = await repository.openObjects();
    const writing = collect(
      writePack({
        objects: damaged,
        objectNumbers: Uint32Array.of(objectNumber),
        clientHas: () => false,
        ofsDelta: true,
        isThin: false,
      }),
    );
    await expect(writing).rejects.toThrow("entry does not match its checksum");
  });
});

describe("written packs", () => {
  test.each([true, false])("hold all objects, deltas by offset: %s", async (ofsDelta) => {
    const pack = await packOf({ objectNumbers: objects.packs.allObjects(), ofsDelta });
    expect(await idsIn(pack, `${folder.path}/all-${ofsDelta}`)).toEqual(await heldObjects(sample));
  });

  test("any part of the objects makes a pack that stands alone", async () => {
    const all = objects.packs.allObjects();
    for (const step of [2, 3, 7]) {
      const objectNumbers = all.filter((_, i) => i % step === 1);
      const ids = [...objectNumbers].map((objectNumber) => objects.objectId(objectNumber)).toSorted();
      const repository = `${folder.path}/part-${step}`;
      await gitBytes(["init", "--quiet", "--bare", repository]);
      const pack = await packOf({ objectNumbers, ofsDelta: true });
      await gitBytes(["index-pack", "--stdin"], { cwd: repository, input: pack });
      expect(await heldObjects(repository)).toEqual(ids);
    }
  });

  test("a base that the client has need not be sent: smaller, and complete with it only", async () => {
    const deltas: number[] = [];
    for (const objectNumber of objects.packs.allObjects()) {
      const { packNumber, offsetBytes } = objects.packs.extent(objectNumber);
      const entry = await objects.packs.readPackRange(packNumber, offsetBytes, 30);
      if (decodeEntryHead(entry, 0, 30).type >= DELTA_TYPE.ofs) deltas.push(objectNumber);
    }
    const [objectNumber = -1] = deltas;
    const objectNumbers = Uint32Array.of(objectNumber);
    const thin = await packOf({ objectNumbers, ofsDelta: true, clientHas: () => true });
    const whole = await packOf({ objectNumbers, ofsDelta: true });
    expect(thin.length).toBeLessThan(whole.length);
    const empty = `${folder.path}/thin-into-empty`;
    await gitBytes(["init", "--quiet", "--bare", empty]);
    const args = ["index-pack", "--stdin", "--fix-thin"];
    expect((await tryGit(args, { cwd: empty, input: thin })).exitCode).not.toBe(0);
    const full = `${folder.path}/thin-into-full`;
    await gitBytes(["clone", "--quiet", "--bare", sample, full]);
    await gitBytes(args, { cwd: full, input: thin });
    const id: ObjectId = objects.objectId(objectNumber);
    expect(await git(["cat-file", "-t", id], { cwd: full })).toBe(await objects.readType(objectNumber));
  });
});
