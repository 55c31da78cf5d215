import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../lib/document-json.ts";
import { ConfigError, StoredDocumentError } from "../../../lib/errors.ts";
import { DOCUMENT_KEY, openTeam, TEAM } from "../../support/document-rig.ts";

describe("fields of a newer release", () => {
  const NEWER = {
    new1: { deep: [1] },
    name: "one",
    leader: { id: "l", age: 3, new2: true },
    members: [
      { id: "a", age: 1, new3: "of a" },
      { new3: "of b", id: "b", age: 2, new4: { x: [{ y: 1 }] } },
    ],
    notes: [
      { text: "same", new5: 1 },
      { text: "other", new5: 2 },
    ],
  };

  test("are not seen, and are written back at every level", async () => {
    const { document, put, json } = openTeam();
    await put(NEWER);
    const stored = await document.read();
    expect(stored.value).toEqual({
      name: "one",
      leader: { id: "l", age: 3 },
      members: [
        { id: "a", age: 1 },
        { id: "b", age: 2 },
      ],
      notes: [{ text: "same" }, { text: "other" }],
    });
    await document.write({ ...TEAM, ...stored.value, name: "two" }, stored);
    expect(await json()).toEqual({ ...NEWER, name: "two" });
  });

  test("follow their element, wherever it goes, and go with it", async () => {
    const { document, put, json } = openTeam();
    await put(NEWER);
    await document.change(() => ({
      name: "one",
      leader: { id: "l", age: 4 },
      members: [
        { id: "c", age: 9 },
        { id: "b", age: 5 },
      ],
      notes: [{ text: "new" }, { text: "other" }],
    }));
    expect(await json()).toEqual({
      ...NEWER,
      leader: { id: "l", age: 4, new2: true },
      members: [
        { id: "c", age: 9 },
        { id: "b", age: 5, new3: "of b", new4: { x: [{ y: 1 }] } },
      ],
      notes: [{ text: "new" }, { text: "other", new5: 2 }],
    });
  });

  test("of an object are not those of another in its place", async () => {
    const { document, put, json } = openTeam();
    await put(NEWER);
    await document.change((team) => ({ ...TEAM, ...team, leader: { id: "m", age: 3 } }));
    expect(await json()).toMatchObject({ leader: { id: "m", age: 3 } });
    expect(await json()).not.toHaveProperty("leader.new2");
  });

  test("of the document stay, whatever identifies the objects in it", async () => {
    const { document, put, json } = openTeam({ identify: ({ name, id }) => name ?? id });
    await put(NEWER);
    await document.change((team) => ({ ...TEAM, ...team, name: "two" }));
    expect(await json()).toEqual({ ...NEWER, name: "two" });
  });

  test("are not those of a document about something else", async () => {
    const { document, put, json } = openTeam({ subject: ({ name }) => name });
    await put(NEWER);
    await document.change((team) => ({ ...TEAM, ...team, members: [] }));
    expect(await json()).toMatchObject({ new1: { deep: [1] }, leader: { new2: true } });
    await document.change((team) => ({ ...TEAM, ...team, name: "two" }));
    expect(await json()).toEqual({
      name: "two",
      leader: { id: "l", age: 3 },
      members: [],
      notes: [{ text: "same" }, { text: "other" }],
    });
  });

  test("do not bring back a known field that was removed", async () => {
    const { document, put, json } = openTeam();
    await put(NEWER);
    await document.change((team) => {
      const { leader: _, notes: _notes, ...others } = { ...TEAM, ...team };
      return others;
    });
    const { leader: _, notes: _notes, ...others } = NEWER;
    expect(await json()).toEqual(others);
  });

  test("outlive two changes with one read, and a lost race", async () => {
    const { document, put, json } = openTeam();
    await put(NEWER);
    const first = await document.read();
    const second = await document.write({ ...TEAM, ...first.value, name: "two" }, first);
    await document.write({ ...TEAM, ...second.value, name: "three" }, second);
    await document.change((team) => ({ ...TEAM, ...team, name: `${team?.name}, four` }), first);
    expect(await json()).toEqual({ ...NEWER, name: "three, four" });
  });

  test("called as what every object has are kept as well", async () => {
    const { document, putText, text } = openTeam();
    await putText('{"name":"one","members":[],"__proto__":{"x":1},"constructor":2}');
    await document.change((team) => ({ ...TEAM, ...team, name: "two" }));
    expect(await text()).toBe('{"name":"two","members":[],"__proto__":{"x":1},"constructor":2}\n');
  });

  test("can be identified by something else than an id", async () => {
    const identify = ({ age }: JsonObject) => age;
    const { document, put, json } = openTeam({ identify });
    await put({ name: "one", members: [{ id: "a", age: 1, new1: 1 }] });
    await document.change((team) => ({ ...TEAM, ...team, members: [{ id: "z", age: 1 }] }));
    expect(await json()).toEqual({ name: "one", members: [{ id: "z", age: 1, new1: 1 }] });
  });

  test("are an error where the form says so, with their place", async () => {
    const seen: unknown[] = [];
    const { document, put } = openTeam({
      checkUnknownFields: ({ name }, fields) => {
        seen.push(...fields);
        return name === "one" && fields.length > 0 ? `unknown field ${fields[0]}` : undefined;
      },
    });
    await put({ ...NEWER, name: "one" });
    await expect(document.read()).rejects.toThrow("some/document.json is damaged: unknown field new1");
    expect(seen).toEqual([
      "new1",
      "leader.new2",
      "members[0].new3",
      "members[1].new3",
      "members[1].new4",
      "notes[0].new5",
      "notes[1].new5",
    ]);
    await put({ ...NEWER, name: "two" });
    expect((await document.read()).value?.name).toBe("two");
  });
});

describe("an entry of mustUnderstand", () => {
  const json = { ...TEAM, mustUnderstand: ["known", "sha256-objects"] };

  test("that this release does not know refuses the document, and nothing is written over it", async () => {
    const { document, put, store } = openTeam({ whenDamaged: "absent", understands: ["known"] });
    await put(json);
    store.reset();
    const refusal =
      'a newer release wrote some/document.json: it uses "sha256-objects", which this release does not know';
    for (const attempt of [
      () => document.read(),
      () => document.readForChange(),
      () => document.readIfChanged({ value: TEAM, version: "another" }),
      () => document.change(() => TEAM),
      () => document.change(() => undefined),
      () => document.change(() => TEAM, { value: undefined, version: "another" }),
    ]) {
      await expect(attempt()).rejects.toThrow(refusal);
      await expect(attempt()).rejects.toBeInstanceOf(ConfigError);
    }
    expect(store.counts()).toMatchObject({ delete: 0 });
    expect((await store.read(DOCUMENT_KEY)).bytes).toEqual(new TextEncoder().encode(JSON.stringify(json)));
  });

  test("refuses it whatever else is wrong with it", async () => {
    const { document, put } = openTeam({ checksum: "needed", understands: ["known"] });
    await put({ mustUnderstand: ["x"], name: 1, checksum: "another kind" });
    await expect(document.read()).rejects.toBeInstanceOf(ConfigError);
    await put({ ...TEAM, mustUnderstand: "known" });
    await expect(document.read()).rejects.toBeInstanceOf(StoredDocumentError); // by its checksum
    await put({ ...TEAM, mustUnderstand: { known: true } });
    await expect(document.read()).rejects.toBeInstanceOf(ConfigError);
  });

  test("that this release knows does not, and stays in the document", async () => {
    const opened = openTeam({ understands: ["known", "sha256-objects"] });
    await opened.put(json);
    await opened.document.change((team) => ({ ...TEAM, ...team, name: "two" }));
    expect(await opened.json()).toEqual({ ...json, name: "two" });
  });
});
