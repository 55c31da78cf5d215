import { beforeEach, expect, test } from "vitest";
import { CorruptPackError } from "../../../lib/errors.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { readName, readProjectName } from "../../../lib/repo/names.ts";
import { readServedUuid } from "../../../lib/repo/resolve-repository.ts";
import {
  deleteUpstreamRecord,
  readUpstreamRecord,
  writeUpstreamRecord,
} from "../../../lib/repo/upstream-record.ts";
import { CountingBlobStore } from "../../../lib/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../../lib/store/memory-blob-store.ts";

const ONE = "0a1b2c3d-0000-4000-8000-000000000001";
const TWO = "0a1b2c3d-0000-4000-8000-000000000002";
const SITE = { workspace: "acme", slug: "site", projectKey: "WEB", isPrivate: true };

let store: CountingBlobStore;

beforeEach(() => {
  store = new CountingBlobStore(new MemoryBlobStore());
});

const bytes = (text: string) => new TextEncoder().encode(text);

test("a record that has not changed costs two reads and no write", async () => {
  await writeUpstreamRecord(store, ONE, SITE);
  store.reset();
  await writeUpstreamRecord(store, ONE, SITE);
  expect(store.counts()).toMatchObject({ requests: 2, rounds: 1, read: 2, write: 0 });
});

test("names say whether everyone may read, and follow a change", async () => {
  await writeUpstreamRecord(store, ONE, SITE);
  expect(await readName(store, "acme", "site")).toEqual({
    uuid: ONE,
    isPublic: false,
    isFormer: false,
    hasUuidPath: false,
  });
  await writeUpstreamRecord(store, ONE, { ...SITE, isPrivate: false });
  expect((await readName(store, "ACME", "Site"))?.isPublic).toBe(true);
  expect((await readProjectName(store, "web", "site"))?.isPublic).toBe(true);
});

test("names say whether git finds the repository by its uuid, which stays until something else is known", async () => {
  await writeUpstreamRecord(store, ONE, { ...SITE, hasUuidPath: true });
  expect(await readName(store, "acme", "site")).toMatchObject({ hasUuidPath: true });
  expect(await readProjectName(store, "web", "site")).toMatchObject({ hasUuidPath: true });
  await writeUpstreamRecord(store, ONE, { ...SITE, slug: "shop" });
  expect(await readName(store, "acme", "shop")).toMatchObject({ hasUuidPath: true });
  expect(await readUpstreamRecord(store, ONE)).toMatchObject({ slug: "shop", hasUuidPath: true });
  await writeUpstreamRecord(store, ONE, { ...SITE, slug: "shop", hasUuidPath: false });
  expect(await readName(store, "acme", "shop")).toMatchObject({ hasUuidPath: false });
});

test("a renamed repository keeps its old name as a former one, and takes it back", async () => {
  await writeUpstreamRecord(store, ONE, SITE);
  await writeUpstreamRecord(store, ONE, { ...SITE, slug: "shop" });
  expect(await readName(store, "acme", "site")).toMatchObject({ uuid: ONE, isFormer: true });
  expect(await readName(store, "acme", "shop")).toMatchObject({ uuid: ONE, isFormer: false });
  const asked = { kind: "name", workspace: "acme", slug: "site" } as const;
  expect(await readServedUuid(store, asked, "acme/shop")).toBe(ONE);
  expect(await readServedUuid(store, asked, "acme/site")).toBeUndefined();
  expect(await readServedUuid(store, asked, undefined)).toBeUndefined();
  await writeUpstreamRecord(store, ONE, SITE);
  expect(await readServedUuid(store, asked, "acme/site")).toBe(ONE);
});

test("a name that another repository has taken stays that one's", async () => {
  await writeUpstreamRecord(store, ONE, SITE);
  await writeUpstreamRecord(store, TWO, SITE);
  await writeUpstreamRecord(store, ONE, { ...SITE, slug: "old-site" });
  expect(await readName(store, "acme", "site")).toMatchObject({ uuid: TWO, isFormer: false });
});

test("of two workspaces with the same project key and slug, the first keeps the name by project until it moves", async () => {
  const other = { ...SITE, workspace: "other" };
  expect(await writeUpstreamRecord(store, ONE, SITE)).toEqual({ isProjectNameTaken: false });
  expect(await writeUpstreamRecord(store, TWO, other)).toEqual({ isProjectNameTaken: true });
  expect((await readProjectName(store, "WEB", "site"))?.uuid).toBe(ONE);
  await writeUpstreamRecord(store, ONE, { ...SITE, projectKey: "MOVED" });
  await writeUpstreamRecord(store, TWO, { ...other, isPrivate: false });
  expect((await readProjectName(store, "WEB", "site"))?.uuid).toBe(TWO);
  expect((await readProjectName(store, "MOVED", "site"))?.uuid).toBe(ONE);
});

test("a repository taken off the names is not found by any of them", async () => {
  await writeUpstreamRecord(store, ONE, SITE);
  await deleteUpstreamRecord(store, ONE);
  expect(
    await readServedUuid(store, { kind: "name", workspace: "acme", slug: "site" }, "acme/site"),
  ).toBeUndefined();
  expect(
    await readServedUuid(store, { kind: "uuid", workspace: "acme", uuid: ONE }, undefined),
  ).toBeUndefined();
  const byProject = { kind: "project", projectKey: "WEB", slug: "site" } as const;
  expect(await readServedUuid(store, byProject, "acme/site")).toBeUndefined();
  await deleteUpstreamRecord(store, ONE);
});

test("what cannot be understood is an error to readers, and written anew by the next sync", async () => {
  await writeUpstreamRecord(store, ONE, SITE);
  const key = repositoryKeys(ONE).upstream;
  await store.write(key, bytes("{"));
  await expect(readUpstreamRecord(store, ONE)).rejects.toThrow(CorruptPackError);
  await store.write("names/acme/site.json", bytes('{"uuid":"../x"}'));
  await expect(readName(store, "acme", "site")).rejects.toThrow(CorruptPackError);
  await store.write("projects/web/site.json", bytes(`{"uuid":"${ONE}","workspace":"..","slug":"x"}`));
  await expect(readProjectName(store, "WEB", "site")).rejects.toThrow(CorruptPackError);
  await writeUpstreamRecord(store, ONE, SITE);
  expect(await readUpstreamRecord(store, ONE)).toEqual(SITE);
  expect((await readName(store, "acme", "site"))?.uuid).toBe(ONE);
  expect((await readProjectName(store, "WEB", "site"))?.workspace).toBe("acme");
});
