import { describe, expect, test } from "vitest";
import { documentChecksum, type JsonObject } from "../../../lib/document-json.ts";
import { ConfigError, StoredDocumentError, VersionConflictError } from "../../../lib/errors.ts";
import { NO_DOCUMENT, UNCHANGED } from "../../../lib/repo/stored-document.ts";
import { DOCUMENT_KEY, openTeam, TEAM, type Team } from "../../support/document-rig.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

test("what was written is read again, by one request; none is an absent document", async () => {
  const { document, store, text } = openTeam();
  expect(await document.read()).toEqual(NO_DOCUMENT);
  const { version } = await document.write(TEAM, NO_DOCUMENT);
  store.reset();
  expect(await document.read()).toMatchObject({ value: TEAM, version });
  expect(store.counts()).toMatchObject({ requests: 1, read: 1 });
  expect(await text()).toBe('{"name":"one","members":[{"id":"a","age":1}]}\n');
});

describe("a damaged document", () => {
  const damages: readonly [string, string | Uint8Array][] = [
    ["no JSON", "{"],
    ["nothing", ""],
    ["no object", "[]"],
    ["null", "null"],
    ["another form", '{"name":1,"members":[]}'],
    ["no UTF-8", new Uint8Array([0x7b, 0xff, 0x7d])],
    ["a wrong checksum", '{"name":"one","members":[],"checksum":"00"}'],
  ];

  test.each(damages)("(%s) is an error with its key where the form says so", async (_, text) => {
    const { document, putText } = openTeam();
    const version = await putText(text);
    const failure = await document.read().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoredDocumentError);
    expect(failure).toMatchObject({
      code: "STORED_DOCUMENT",
      context: { key: DOCUMENT_KEY },
      message: expect.stringContaining("some/document.json is damaged: "),
    });
    await expect(document.readIfChanged({ value: TEAM, version: "another" })).rejects.toThrow(
      StoredDocumentError,
    );
    expect(await document.readForChange()).toEqual({ value: undefined, version, damage: failure });
  });

  test.each(damages)("(%s) is written anew by a change, without anything of it", async (_, text) => {
    const { document, putText, json } = openTeam();
    await putText(text);
    const values: unknown[] = [];
    await document.change((value) => {
      values.push(value);
      return TEAM;
    });
    expect(values).toEqual([undefined]);
    expect(await json()).toEqual(TEAM);
  });

  test("is absent where the form says so", async () => {
    const { document, putText } = openTeam({ whenDamaged: "absent" });
    const version = await putText("{");
    expect(await document.read()).toMatchObject({ value: undefined, version });
  });

  test("can be removed, also by a change, or left as it is", async () => {
    const { document, putText, text } = openTeam();
    for (const remove of [
      async () => document.remove(await document.readForChange()),
      () => document.change(() => undefined),
    ]) {
      await putText("{");
      await document.change(() => UNCHANGED);
      expect(await text()).toBe("{");
      await remove();
      expect(await text()).toBe('{"tombstone":true}\n');
    }
  });

  test("that is too long is not read, and none such is written", async () => {
    const { document, put } = openTeam({ maxBytes: 46 });
    await put({ ...TEAM, name: "abcde" });
    await expect(document.read()).rejects.toThrow("longer than 46 bytes");
    await put(TEAM);
    const stored = await document.read();
    await expect(document.write({ ...TEAM, name: "abcde" }, stored)).rejects.toThrow("longer than 46 bytes");
    expect(await document.read()).toEqual(stored);
  });

  test("fails as its form wants", async () => {
    const { document, putText } = openTeam({
      invalid: (problem, { key }) => new ConfigError(`${key}: ${problem}`),
    });
    await putText("{");
    await expect(document.read()).rejects.toThrow(new ConfigError("some/document.json: not JSON"));
  });

  test("is never written", async () => {
    const { document, text } = openTeam();
    const stored = await document.write(TEAM, NO_DOCUMENT);
    const bad = { ...TEAM, name: 1 } as unknown as Team;
    await expect(document.write(bad, stored)).rejects.toThrow(StoredDocumentError);
    await expect(document.change(() => bad)).rejects.toThrow(StoredDocumentError);
    expect(await text()).toContain('"one"');
  });
});

describe("a checksum", () => {
  test("is over all fields in whatever order, also those of a newer release", async () => {
    const { document, put, json } = openTeam({ checksum: "needed" });
    const fields: JsonObject = { new1: { b: 1, a: [{ d: "\u20ac", c: null }] }, name: "one", members: [] };
    await put({ checksum: documentChecksum(fields), ...fields });
    await document.change((team) => ({ ...TEAM, ...team, name: "two" }));
    const { checksum, ...others } = (await json()) as JsonObject;
    expect(others).toEqual({ ...fields, name: "two" });
    expect(checksum).toBe(documentChecksum(others));
    expect(checksum).not.toBe(documentChecksum(fields));
  });

  test("is of the canonical form", () => {
    // printf '{"a":[{"c":null,"d":"€"}],"b":1}' | sha256sum
    expect(documentChecksum({ b: 1, a: [{ d: "\u20ac", c: null }] })).toBe(
      "fcbf2e4d654a12759370f4ae415e824691114dab7cc35e761173cb3b61b238f8",
    );
  });

  test("distinguishes lists", () => {
    const sums = [[1, 2], [12], [[1], 2], ["1,2"]].map((list) => documentChecksum({ list }));
    expect(new Set(sums).size).toBe(sums.length);
  });

  test("must be there where the form needs one", async () => {
    const { document, put } = openTeam({ checksum: "needed" });
    await put(TEAM);
    await expect(document.read()).rejects.toThrow("checksum is missing or wrong");
  });

  test("notices a change of any field", async () => {
    const { document, put, json } = openTeam({ checksum: "needed" });
    await document.write(TEAM, NO_DOCUMENT);
    const written = (await json()) as JsonObject;
    for (const change of [{ name: "two" }, { members: [] }, { new1: null }, { checksum: null }]) {
      await put({ ...written, ...change });
      await expect(document.read()).rejects.toThrow(StoredDocumentError);
    }
    await put({ ...written });
    expect((await document.read()).value).toEqual(TEAM);
  });

  test("that a newer release has added is verified, and kept true", async () => {
    const { document, put, json } = openTeam();
    const { name, members } = TEAM;
    await put({ name, members, checksum: documentChecksum({ name, members: [{ id: "a", age: 1 }] }) });
    await document.change((team) => ({ ...TEAM, ...team, name: "two" }));
    const { checksum, ...others } = (await json()) as JsonObject;
    expect(checksum).toBe(documentChecksum(others));
  });
});

describe("removed", () => {
  test("it leaves a tombstone: absent to readers, and written over by who has read it", async () => {
    const { document, text, store } = openTeam({ checksum: "needed" });
    const stored = await document.write(TEAM, NO_DOCUMENT);
    const removed = await document.remove(stored);
    expect(await text()).toBe('{"tombstone":true}\n');
    expect(await document.read()).toEqual({ value: undefined, version: removed.version });
    expect(await document.readIfChanged(stored)).toEqual({ value: undefined, version: removed.version });
    await expect(document.write(TEAM, NO_DOCUMENT)).rejects.toThrow(VersionConflictError);
    await document.write(TEAM, removed);
    expect((await document.read()).value).toEqual(TEAM);
    expect(store.counts().delete).toBe(0);
  });

  test("by a change, or not at all if it is another by now", async () => {
    const { document } = openTeam();
    const first = await document.write(TEAM, NO_DOCUMENT);
    await document.write({ ...TEAM, name: "two" }, first);
    await expect(document.remove(first)).rejects.toThrow(VersionConflictError);
    await document.change((team) => (team?.name === "one" ? undefined : team), first);
    expect((await document.read()).value?.name).toBe("two");
    await document.change((team) => (team?.name === "two" ? undefined : team));
    expect((await document.read()).value).toBeUndefined();
  });

  test("what is not there is removed without a request, and nothing of the removed one comes back", async () => {
    const { document, put, json, store } = openTeam();
    await put({ ...TEAM, new1: 1 });
    const stored = await document.read();
    const removed = await document.remove(stored);
    store.reset();
    await document.remove(removed);
    await document.remove(NO_DOCUMENT);
    await document.change((team) => team, removed);
    expect(store.counts().requests).toBe(0);
    await document.change(() => TEAM);
    expect(await json()).toEqual(TEAM);
  });

  test("a tombstone of a newer release, with more fields, is one", async () => {
    const { document, put } = openTeam({ checksum: "needed" });
    const version = await put({ tombstone: true, removedAt: "some day" });
    expect(await document.read()).toEqual({ value: undefined, version });
  });
});

describe("a change", () => {
  test("that changes nothing costs one read, or none of what is known", async () => {
    const { document, store } = openTeam();
    const stored = await document.write(TEAM, NO_DOCUMENT);
    store.reset();
    expect(await document.change((team) => team && { ...team, members: [...team.members] })).toMatchObject(
      stored,
    );
    expect(store.counts()).toMatchObject({ requests: 1, read: 1 });
    await document.change((team) => team && { members: team.members, name: team.name }, stored);
    expect(store.counts().requests).toBe(1);
  });

  test("is made on top of what another writer was first with", async () => {
    const { document } = openTeam();
    const known = await document.write(TEAM, NO_DOCUMENT);
    await document.write({ ...TEAM, members: [] }, known);
    await document.change((team) => ({ ...TEAM, ...team, name: "two" }), known);
    expect((await document.read()).value).toEqual({ name: "two", members: [] });
  });

  test("of many at once loses none", async () => {
    const { document } = openTeam();
    const add = (id: number) =>
      document.change((team) => ({
        name: "one",
        members: [...(team?.members ?? []), { id: String(id), age: id }],
      }));
    for (let round = 0; round < 5; round++) await Promise.all([0, 1, 2, 3, 4].map((n) => add(round * 5 + n)));
    expect((await document.read()).value?.members).toHaveLength(25);
  });

  test("gives up after eight lost races", async () => {
    const blobs = new MemoryBlobStore({
      faults: { before: ({ kind }) => (kind === "write" ? "lose-race" : undefined) },
    });
    const { document, store } = openTeam({}, blobs);
    await expect(document.change(() => TEAM)).rejects.toThrow(VersionConflictError);
    expect(store.counts()).toMatchObject({ read: 8, write: 8 });
  });
});

test("what has not changed is not sent again", async () => {
  const { document, store } = openTeam();
  const stored = await document.write(TEAM, NO_DOCUMENT);
  store.reset();
  expect(await document.readIfChanged(stored)).toBe(stored);
  const next = await document.write({ ...TEAM, name: "two" }, stored);
  expect(await document.readIfChanged(stored)).toMatchObject({
    value: { name: "two" },
    version: next.version,
  });
  expect(store.counts()).toMatchObject({ readIfChanged: 2, read: 0 });
  expect(await document.readIfChanged(NO_DOCUMENT)).toMatchObject({ version: next.version });
  await store.delete(DOCUMENT_KEY);
  expect(await document.readIfChanged(stored)).toEqual(NO_DOCUMENT);
});

test("a document for people is indented", async () => {
  const { document, text } = openTeam({ indent: 2 });
  await document.write({ name: "one", members: [] }, NO_DOCUMENT);
  expect(await text()).toBe('{\n  "name": "one",\n  "members": []\n}\n');
});
