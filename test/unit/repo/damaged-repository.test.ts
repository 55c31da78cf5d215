/** A published repository of which a blob is lost, cut or flipped: that is damage, and not "no such repository". */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { DamagedRepositoryError } from "../../../lib/errors.ts";
import { errorResponse } from "../../../lib/http/error-response.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { openRepository, type Repository } from "../../../lib/repo/repository.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { collect } from "../../support/byte-chunks.ts";
import { MirrorBuilder } from "../../support/git/mirror-builder.ts";
import { makeSampleRepository } from "../../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

let folder: TemporaryFolder;
let sample: string;
let store: MemoryBlobStore;
let repository: Repository;

beforeAll(async () => {
  folder = await temporaryFolder();
  sample = `${folder.path}/sample`;
  await makeSampleRepository(sample);
}, 60_000);

beforeEach(async () => {
  store = new MemoryBlobStore();
  const builder = await MirrorBuilder.open(store, sample, `${folder.path}/${crypto.randomUUID()}`);
  await builder.addPack({ revisions: ["main"] });
  await builder.publish("acme", "sample");
  repository = await openRepository({ store, blocks: new BlockCache(store) }, builder.uuid);
});

afterAll(() => folder.remove());

function keyOf(kind: "refs" | "index" | "pack"): string {
  const keys = repositoryKeys(repository.uuid);
  const { refs, packs } = repository.manifest;
  const packId = packs[0]?.id ?? "";
  return { refs: keys.refSnapshot(refs.snapshotId), index: keys.packIndex(packId), pack: keys.pack(packId) }[
    kind
  ];
}

const DAMAGES: Readonly<Record<string, (key: string) => Promise<unknown>>> = {
  missing: (key) => store.delete(key),
  cut: async (key) => store.write(key, (await store.read(key)).bytes.subarray(0, 30)),
  flipped: async (key) => {
    const { bytes } = await store.read(key);
    const middle = bytes.length >>> 1;
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    await store.write(key, bytes);
  },
};

async function expectDamage(read: () => Promise<unknown>): Promise<void> {
  const error: unknown = await read().then(
    () => expect.fail("it was read"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DamagedRepositoryError);
  expect(errorResponse(error).status).toBe(500);
}

test.each(Object.keys(DAMAGES))("a list of refs that is %s", async (damage) => {
  await DAMAGES[damage]?.(keyOf("refs"));
  await expectDamage(() => repository.readRefs());
});

test.each(Object.keys(DAMAGES))("a pack index that is %s", async (damage) => {
  await DAMAGES[damage]?.(keyOf("index"));
  await expectDamage(() => repository.openObjects());
});

test.each(["missing", "cut"])("a pack that is %s, streamed and read in pieces", async (damage) => {
  await DAMAGES[damage]?.(keyOf("pack"));
  const [body] = repository.packBodies;
  if (body === undefined) throw new Error("there is a pack");
  await expectDamage(() => collect(body.stream(12, body.packBytes - 12)));
  const objects = await repository.openObjects();
  await expectDamage(() => objects.packs.readPackRange(0, 100, 100));
});

test("a pack index whose checksum is another", async () => {
  const { bytes } = await store.read(keyOf("index"));
  bytes.set(new Uint8Array(20), bytes.length - 20);
  await store.write(keyOf("index"), bytes);
  await expectDamage(() => repository.openObjects());
});
