import { beforeEach, describe, expect, test } from "vitest";
import { documentChecksum, type JsonObject } from "../../../lib/document-json.ts";
import { StoredDocumentError } from "../../../lib/errors.ts";
import { changeRecord, withFacts } from "../../../lib/mirror/repository-state.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { indexNames, releaseName } from "../../../lib/repo/name-index.ts";
import { readName, readProjectName } from "../../../lib/repo/names.ts";
import { readNamedRecord, repositoryDocument } from "../../../lib/repo/repository-record.ts";
import { readServedUuid } from "../../../lib/repo/resolve-repository.ts";
import { nameRepository, withdrawNames } from "../../support/named-repository.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const ONE = "0a1b2c3d-0000-4000-8000-000000000001";
const TWO = "0a1b2c3d-0000-4000-8000-000000000002";
const SITE = { workspace: "acme", slug: "site", projectKey: "WEB", isPrivate: true };

let store: CountingBlobStore;

beforeEach(() => {
  store = new CountingBlobStore(new MemoryBlobStore());
});

const bytes = (text: string) => new TextEncoder().encode(text);

async function recordOf(uuid: string) {
  const { value } = await repositoryDocument(store, uuid).read();
  return value ?? expect.fail("no record");
}

test("an index that is as it should be costs one read, or one for each name, and no write", async () => {
  await nameRepository(store, ONE, { ...SITE, slug: "former" });
  await nameRepository(store, ONE, SITE);
  const record = await recordOf(ONE);
  expect(record.isIndexPending).toBeUndefined();
  store.reset();
  await indexNames(store, ONE, record, { all: false });
  expect(store.counts()).toMatchObject({ requests: 1, read: 1 });
  store.reset();
  await indexNames(store, ONE, record, { all: true });
  expect(store.counts()).toMatchObject({ requests: 4, rounds: 1, read: 4 });
});

test("names say whether everyone may read, and follow a change", async () => {
  await nameRepository(store, ONE, SITE);
  expect(await readName(store, "acme", "site")).toEqual({
    uuid: ONE,
    seenAt: expect.any(String),
    isPublic: false,
    isFormer: false,
    foundBy: "unknown",
  });
  await nameRepository(store, ONE, { ...SITE, isPrivate: false });
  expect((await readName(store, "ACME", "Site"))?.isPublic).toBe(true);
  expect((await readProjectName(store, "web", "site"))?.isPublic).toBe(true);
});

test("names say whether git finds the repository by its uuid, which stays until something else is known", async () => {
  await nameRepository(store, ONE, { ...SITE, foundBy: "uuid" });
  expect(await readName(store, "acme", "site")).toMatchObject({ foundBy: "uuid" });
  expect(await readProjectName(store, "web", "site")).toMatchObject({ foundBy: "uuid" });
  await nameRepository(store, ONE, { ...SITE, slug: "shop" });
  expect(await readName(store, "acme", "shop")).toMatchObject({ foundBy: "uuid" });
  expect(await readNamedRecord(store, ONE)).toMatchObject({ slug: "shop", foundBy: "uuid" });
  await nameRepository(store, ONE, { ...SITE, slug: "shop", foundBy: "name" });
  expect(await readName(store, "acme", "shop")).toMatchObject({ foundBy: "name" });
});

test("a renamed repository keeps its old name as a former one, and takes it back", async () => {
  await nameRepository(store, ONE, SITE);
  await nameRepository(store, ONE, { ...SITE, slug: "shop" });
  expect(await readName(store, "acme", "site")).toMatchObject({ uuid: ONE, isFormer: true });
  expect(await readName(store, "acme", "shop")).toMatchObject({ uuid: ONE, isFormer: false });
  const asked = { kind: "name", workspace: "acme", slug: "site" } as const;
  expect(await readServedUuid(store, asked, "acme/shop")).toBe(ONE);
  expect(await readServedUuid(store, asked, "acme/site")).toBeUndefined();
  expect(await readServedUuid(store, asked, undefined)).toBeUndefined();
  await nameRepository(store, ONE, SITE);
  expect(await readServedUuid(store, asked, "acme/site")).toBe(ONE);
});

test("a name that another repository has taken stays that one's", async () => {
  await nameRepository(store, ONE, SITE);
  await nameRepository(store, TWO, SITE);
  await nameRepository(store, ONE, { ...SITE, slug: "old-site" });
  expect(await readName(store, "acme", "site")).toMatchObject({ uuid: TWO, isFormer: false });
});

test("of two workspaces with the same project key and slug, the first keeps the name by project until it moves", async () => {
  const other = { ...SITE, workspace: "other" };
  expect(await nameRepository(store, ONE, SITE)).toEqual({ isNameTaken: false, isProjectNameTaken: false });
  expect(await nameRepository(store, TWO, other)).toEqual({ isNameTaken: false, isProjectNameTaken: true });
  expect((await readProjectName(store, "WEB", "site"))?.uuid).toBe(ONE);
  await nameRepository(store, ONE, { ...SITE, projectKey: "MOVED" });
  await nameRepository(store, TWO, { ...other, isPrivate: false });
  expect((await readProjectName(store, "WEB", "site"))?.uuid).toBe(TWO);
  expect((await readProjectName(store, "MOVED", "site"))?.uuid).toBe(ONE);
});

test("a repository taken off the names is not found by any of them", async () => {
  await nameRepository(store, ONE, SITE);
  await withdrawNames(store, ONE);
  expect(
    await readServedUuid(store, { kind: "name", workspace: "acme", slug: "site" }, "acme/site"),
  ).toBeUndefined();
  expect(
    await readServedUuid(store, { kind: "uuid", workspace: "acme", uuid: ONE }, undefined),
  ).toBeUndefined();
  const byProject = { kind: "project", projectKey: "WEB", slug: "site" } as const;
  expect(await readServedUuid(store, byProject, "acme/site")).toBeUndefined();
  await withdrawNames(store, ONE);
});

test("a damaged entry or record is an error to readers, and written anew by the next sync", async () => {
  await nameRepository(store, ONE, SITE);
  const key = repositoryKeys(ONE).record;
  await store.write(key, bytes("{"));
  await expect(readNamedRecord(store, ONE)).rejects.toThrow(StoredDocumentError);
  await store.write("names/acme/site.json", bytes('{"uuid":"../x"}'));
  await expect(readName(store, "acme", "site")).rejects.toThrow(StoredDocumentError);
  await store.write("projects/web/site.json", bytes(`{"uuid":"${ONE}","workspace":"..","slug":"x"}`));
  await expect(readProjectName(store, "WEB", "site")).rejects.toThrow(StoredDocumentError);
  await nameRepository(store, ONE, SITE);
  expect(await readNamedRecord(store, ONE)).toMatchObject(SITE);
  expect((await readName(store, "acme", "site"))?.uuid).toBe(ONE);
  expect((await readProjectName(store, "WEB", "site"))?.workspace).toBe("acme");
});

/** Adds fields as a newer release would. */
async function addFields(key: string, fields: JsonObject): Promise<void> {
  const { checksum: _, ...document } = JSON.parse(new TextDecoder().decode((await store.read(key)).bytes));
  const newer = { ...document, ...fields };
  await store.write(key, bytes(JSON.stringify({ ...newer, checksum: documentChecksum(newer) })));
}

const stored = async (key: string): Promise<unknown> =>
  JSON.parse(new TextDecoder().decode((await store.read(key)).bytes));

test("fields of a newer release outlive a rename of the repository, but not of a name a new owner", async () => {
  await nameRepository(store, ONE, SITE);
  await addFields(repositoryKeys(ONE).record, { new1: 1, mustUnderstand: [] });
  await addFields("names/acme/site.json", { new2: 2 });
  await addFields("projects/web/site.json", { new3: 3 });
  await nameRepository(store, ONE, { ...SITE, slug: "shop" });
  expect(await stored(repositoryKeys(ONE).record)).toMatchObject({
    slug: "shop",
    new1: 1,
    mustUnderstand: [],
  });
  expect(await stored("names/acme/site.json")).toMatchObject({ isFormer: true, new2: 2 });
  await nameRepository(store, TWO, SITE);
  expect(await stored("names/acme/site.json")).toMatchObject({ uuid: TWO });
  expect(await stored("names/acme/site.json")).not.toHaveProperty("new2");
  expect(await stored("projects/web/site.json")).toMatchObject({ uuid: TWO });
  expect(await stored("projects/web/site.json")).not.toHaveProperty("new3");
});

test("a damaged entry under its name goes with the repository", async () => {
  await nameRepository(store, ONE, SITE);
  await store.write("names/acme/site.json", bytes("{"));
  await withdrawNames(store, ONE);
  expect(await readName(store, "acme", "site")).toBeUndefined();
});

const EARLIER = "2026-01-01T00:00:00.000Z";
const LATER = "2026-01-01T00:00:01.000Z";

describe("of two repositories that claim one name", () => {
  test.each([
    ["first", [EARLIER, LATER], TWO],
    ["last", [LATER, EARLIER], ONE],
  ] as const)("the newer answer of the primary counts, also where it comes %s", async (_, seenAt, holder) => {
    await nameRepository(store, ONE, { ...SITE, seenAt: seenAt[0] });
    const conflicts = await nameRepository(store, TWO, { ...SITE, seenAt: seenAt[1] });
    expect(conflicts.isNameTaken).toBe(holder === ONE);
    expect((await readName(store, "acme", "site"))?.uuid).toBe(holder);
  });

  test("the one that has it gets a former name, whenever it was asked about", async () => {
    await nameRepository(store, ONE, { ...SITE, seenAt: LATER });
    await nameRepository(store, ONE, { ...SITE, slug: "shop", seenAt: LATER });
    await nameRepository(store, TWO, { ...SITE, seenAt: EARLIER });
    expect(await readName(store, "acme", "site")).toMatchObject({ uuid: TWO, isFormer: false });
  });

  test("withdrawing one, or renaming it, leaves the other's entry", async () => {
    await nameRepository(store, ONE, { ...SITE, seenAt: EARLIER });
    await nameRepository(store, TWO, { ...SITE, seenAt: LATER });
    await nameRepository(store, ONE, { ...SITE, slug: "shop", seenAt: LATER });
    await withdrawNames(store, ONE);
    expect(await readName(store, "acme", "site")).toMatchObject({ uuid: TWO, isFormer: false });
    expect(await readName(store, "acme", "shop")).toBeUndefined();
  });
});

describe("a name is released", () => {
  test("where it leads to another repository than the primary says", async () => {
    await nameRepository(store, ONE, { ...SITE, seenAt: EARLIER });
    await releaseName(store, TWO, { ...SITE, seenAt: LATER });
    expect(await readName(store, "acme", "site")).toBeUndefined();
  });

  test("but not its own entry, nor by an older answer", async () => {
    await nameRepository(store, ONE, { ...SITE, seenAt: LATER });
    const before = await readName(store, "acme", "site");
    await releaseName(store, ONE, { ...SITE, seenAt: LATER });
    await releaseName(store, TWO, { ...SITE, seenAt: EARLIER });
    expect(await readName(store, "acme", "site")).toEqual(before);
    await releaseName(store, ONE, { ...SITE, slug: "nothing", seenAt: LATER });
  });

  test("and does not come back as a former one", async () => {
    await nameRepository(store, ONE, { ...SITE, seenAt: EARLIER });
    await nameRepository(store, ONE, { ...SITE, slug: "shop", seenAt: EARLIER });
    await releaseName(store, TWO, { ...SITE, seenAt: EARLIER });
    await indexNames(store, ONE, await recordOf(ONE), { all: true });
    expect(await readName(store, "acme", "site")).toBeUndefined();
  });
});

test("an index that is lost or damaged is rebuilt out of the record, with former names", async () => {
  await nameRepository(store, ONE, { ...SITE, slug: "old", projectKey: "OLD" });
  await nameRepository(store, ONE, { ...SITE, foundBy: "uuid" });
  const keys: string[] = [];
  for (const prefix of ["names/", "projects/"])
    for await (const { key } of store.list(prefix)) keys.push(key);
  expect(keys).toHaveLength(4);
  const read = () =>
    Promise.all(keys.map(async (key) => new TextDecoder().decode((await store.read(key)).bytes)));
  const { seenAt } = await recordOf(ONE);
  const before = (await read()).map((text) => withSeenAt(text, seenAt));
  for (const damage of [store.delete.bind(store), (key: string) => store.write(key, bytes("{}"))]) {
    for (const key of keys) await damage(key);
    await indexNames(store, ONE, await recordOf(ONE), { all: true });
    expect((await read()).map((text) => withSeenAt(text, seenAt))).toEqual(before);
  }
});

function withSeenAt(text: string, seenAt: string): unknown {
  return { ...JSON.parse(text), seenAt, checksum: "" };
}

test("a change of names that was cut short is finished by the next job", async () => {
  await nameRepository(store, ONE, SITE);
  const facts = { ...SITE, slug: "shop", seenAt: new Date().toISOString() };
  // Killed before the index was changed.
  const { value } = await changeRecord(store, ONE, facts, (record) => withFacts(record, facts));
  expect(value).toMatchObject({ isIndexPending: true, slug: "shop" });
  await nameRepository(store, ONE, facts);
  expect(await readName(store, "acme", "shop")).toMatchObject({ uuid: ONE, isFormer: false });
  expect(await readName(store, "acme", "site")).toMatchObject({ uuid: ONE, isFormer: true });
  expect(await recordOf(ONE)).not.toHaveProperty("isIndexPending");
});

test("only the latest former names lead to a repository, and the record stays small", async () => {
  for (let count = 0; count < 25; count++)
    await nameRepository(store, ONE, { ...SITE, slug: `site-${count}` });
  const { formerNames } = await recordOf(ONE);
  expect(formerNames.map(({ slug }) => slug)).toEqual(Array.from({ length: 20 }, (_, n) => `site-${n + 4}`));
});
