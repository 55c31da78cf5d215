/** Names that are reserved for a repository whose first sync is not done. */
import { beforeEach, describe, expect, test } from "vitest";
import { releaseReservedName, reserveName } from "../../../lib/repo/name-index.ts";
import { readName } from "../../../lib/repo/names.ts";
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

describe("a reserved name", () => {
  const COMING = { ...SITE, isPrivate: false, seenAt: "2026-01-01T00:00:00.000Z" };

  test("costs one request, leads nowhere, and becomes the repository's", async () => {
    await reserveName(store, ONE, COMING);
    expect(store.counts()).toMatchObject({ requests: 1, write: 1 });
    expect(await readName(store, "acme", "site")).toMatchObject({
      uuid: ONE,
      isReserved: true,
      isPublic: true,
    });
    const asked = { kind: "name", workspace: "acme", slug: "site" } as const;
    expect(await readServedUuid(store, asked, "acme/site")).toBeUndefined();
    await nameRepository(store, ONE, COMING);
    expect(await readName(store, "acme", "site")).not.toHaveProperty("isReserved");
    expect(await readServedUuid(store, asked, "acme/site")).toBe(ONE);
  });

  test("is not reserved where it leads to one, but where the last one was removed", async () => {
    await nameRepository(store, ONE, SITE);
    const before = await readName(store, "acme", "site");
    await reserveName(store, TWO, COMING);
    expect(await readName(store, "acme", "site")).toEqual(before);
    await withdrawNames(store, ONE);
    await reserveName(store, TWO, COMING);
    expect(await readName(store, "acme", "site")).toMatchObject({ uuid: TWO, isReserved: true });
  });

  test("is released by its own repository only, and only while it is reserved", async () => {
    await reserveName(store, ONE, COMING);
    await releaseReservedName(store, TWO, COMING);
    expect(await readName(store, "acme", "site")).toMatchObject({ uuid: ONE });
    await releaseReservedName(store, ONE, COMING);
    expect(await readName(store, "acme", "site")).toBeUndefined();
    await nameRepository(store, ONE, SITE);
    await releaseReservedName(store, ONE, COMING);
    expect(await readName(store, "acme", "site")).toMatchObject({ uuid: ONE });
  });
});
