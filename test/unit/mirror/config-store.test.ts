import { expect, test } from "vitest";
import { ConfigError } from "../../../lib/errors.ts";
import { changeMirrorConfig, configReader, readMirrorConfig } from "../../../lib/mirror/config-store.ts";
import { EMPTY_CONFIG, type MirrorConfig, mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { servesBy } from "../../../lib/mirror/selection.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import type { WholeBlobs } from "../../../lib/store/blob-store.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { writeName } from "../../support/named-repository.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const add = (workspace: string) => (config: MirrorConfig) => ({
  ...config,
  workspaces: [...config.workspaces, ...mirrorConfigOf([{ workspace, projects: "all" }]).workspaces],
});

test("changes at the same time are all kept", async () => {
  const store = new MemoryBlobStore();
  await Promise.all(["a", "b", "c", "d"].map((name) => changeMirrorConfig(store, add(name))));
  const config = await readMirrorConfig(store);
  expect(config?.workspaces.map(({ workspace }) => workspace).sort()).toEqual(["a", "b", "c", "d"]);
});

test("a change that is not valid writes nothing, and one over a broken file neither", async () => {
  const store = new MemoryBlobStore();
  await changeMirrorConfig(store, add("a"));
  await expect(changeMirrorConfig(store, add("not a name"))).rejects.toThrow(ConfigError);
  expect((await readMirrorConfig(store))?.workspaces).toHaveLength(1);
  await store.write("config.json", new TextEncoder().encode("{broken"));
  await expect(changeMirrorConfig(store, add("b"))).rejects.toThrow(ConfigError);
  expect(new TextDecoder().decode((await store.read("config.json")).bytes)).toBe("{broken");
});

test("each read gets what is there now, for one conditional read; nothing is mirrored without a file", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const current = configReader(store);
  expect(await current()).toEqual(EMPTY_CONFIG);
  await changeMirrorConfig(store, add("a"));
  expect((await current()).workspaces).toHaveLength(1);
  store.reset();
  await current();
  expect(store.counts()).toMatchObject({ requests: 1, readIfChanged: 1 });
  await changeMirrorConfig(store, add("b"));
  expect((await current()).workspaces).toHaveLength(2);
});

test("a change that is not valid is reported once, and leaves the last valid configuration in use", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const reported: string[] = [];
  const current = configReader(store, { onInvalid: ({ message }) => reported.push(message) });
  const write = (text: string) => store.write("config.json", new TextEncoder().encode(text));
  await write("{broken");
  await expect(current()).rejects.toThrow(ConfigError);
  expect(reported).toEqual([]);

  await store.delete("config.json");
  await changeMirrorConfig(store, add("a"));
  const valid = await current();
  await write('{"formatVersion": 1, "workspaces": [], "workspace": "b"}');
  store.reset();
  expect([await current(), await current(), await current()]).toEqual([valid, valid, valid]);
  expect(store.counts()).toMatchObject({ requests: 3, readIfChanged: 3 });
  expect(reported).toHaveLength(1);
  await write("[]");
  expect(await current()).toEqual(valid);
  expect(reported).toHaveLength(2);

  await write('{"formatVersion": 1, "workspaces": []}');
  expect((await current()).workspaces).toEqual([]);
});

test("asking what is served costs one request, and no round of its own", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const current = configReader(store);
  await changeMirrorConfig(store, add("acme"));
  await writeName(store, "acme", "a", "01234567-89ab-cdef-0123-456789abcdef", { isPublic: true });
  const storage = { store, blocks: new BlockCache(store) };
  const catalog = new RepositoryCatalog(storage, { serves: servesBy(current) });
  store.reset();
  await catalog.resolve("acme", "a");
  // Name and configuration, then manifest and record, which are not there.
  expect(store.counts()).toMatchObject({ requests: 4, rounds: 2 });
});

test("a configuration of a newer release is used, and its fields outlive a change of this one", async () => {
  const store = new MemoryBlobStore();
  const [acme] = mirrorConfigOf([{ workspace: "acme", projects: "all" }]).workspaces;
  const newer = { formatVersion: 2, workspaces: [{ ...acme, newInWorkspace: 1 }], newInAll: { deep: [1] } };
  await store.write("config.json", new TextEncoder().encode(JSON.stringify(newer)));
  expect((await configReader(store)()).workspaces).toEqual([acme]);
  await changeMirrorConfig(store, add("beta"));
  await changeMirrorConfig(store, (config) => ({
    ...config,
    workspaces: config.workspaces.map((one) => ({ ...one, disabled: true })),
  }));
  const text = new TextDecoder().decode((await store.read("config.json")).bytes);
  expect(JSON.parse(text)).toMatchObject({
    ...newer,
    workspaces: [
      { workspace: "acme", newInWorkspace: 1, disabled: true },
      { workspace: "beta", disabled: true },
    ],
  });
});

const COPY = "config.last-valid.json";
const write = (store: WholeBlobs, text: string, key = "config.json") =>
  store.write(key, new TextEncoder().encode(text));

function copying(store: WholeBlobs) {
  const failures: unknown[] = [];
  return {
    failures,
    current: configReader(store, { copy: { onFailed: (error) => failures.push(error) } }),
  };
}

test("a process that starts with an invalid file uses the copy of the last valid one, and reports the file once", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  await changeMirrorConfig(store, add("a"));
  const valid = await copying(store).current();
  await write(store, "{broken");
  const reported: string[] = [];
  const cold = configReader(store, { onInvalid: ({ message }) => reported.push(message) });
  store.reset();
  expect(await cold()).toEqual(valid);
  expect(store.counts()).toMatchObject({ requests: 2, read: 2 });
  expect(await cold()).toEqual(valid);
  expect(store.counts()).toMatchObject({ requests: 3, readIfChanged: 1 });
  expect(reported).toEqual([expect.stringMatching(/^config.json: /)]);

  await expect(changeMirrorConfig(store, add("b"))).rejects.toBeInstanceOf(ConfigError);
  await write(store, '{"formatVersion": 1, "workspaces": []}');
  expect((await cold()).workspaces).toEqual([]);
});

test("without a copy that is valid, an invalid file is an error for a process that starts; without a file nothing is mirrored", async () => {
  const store = new MemoryBlobStore();
  await write(store, '{"formatVersion": 1, "workspaces": [], "typo": 1}');
  await expect(configReader(store)()).rejects.toThrow(/typo/);
  await write(store, "{broken too", COPY);
  await expect(configReader(store)()).rejects.toThrow(/typo/);
  await write(store, '{"formatVersion": 1, "workspaces": [{"workspace": "a", "projects": "all"}]}', COPY);
  expect((await configReader(store)()).workspaces).toHaveLength(1);
  await store.delete("config.json");
  expect(await configReader(store)()).toEqual(EMPTY_CONFIG);
});

test("the copy is written when a valid file has changed, never of an invalid one; a failure is reported, and reading works", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const bytesOf = async (key: string) => new TextDecoder().decode((await store.read(key)).bytes);
  await changeMirrorConfig(store, add("a"));
  const { current, failures } = copying(store);
  await current();
  expect(await bytesOf(COPY)).toBe(await bytesOf("config.json"));
  const first = await bytesOf(COPY);
  store.reset();
  await current();
  // Another process of the kind, which finds it done.
  await copying(store).current();
  expect(store.counts()).toMatchObject({ requests: 3, readIfChanged: 1, read: 2 });

  await write(store, "{broken");
  await current();
  expect(await bytesOf(COPY)).toBe(first);
  await write(store, '{"formatVersion": 1, "workspaces": []}');
  await current();
  expect(await bytesOf(COPY)).toBe(await bytesOf("config.json"));
  expect(failures).toEqual([]);

  // Each has read another version; the last one that reads counts, whichever writes last.
  const late = copying(store);
  const racing = new CountingBlobStore(store);
  const slow = copying(
    Object.assign(Object.create(racing) as CountingBlobStore, {
      read: async (key: string) => {
        if (key === COPY) {
          await changeMirrorConfig(store, add("late"));
          await late.current();
        }
        return racing.read(key);
      },
      readIfChanged: racing.readIfChanged.bind(racing),
      write: racing.write.bind(racing),
    }),
  );
  await slow.current();
  expect(await bytesOf(COPY)).toBe(await bytesOf("config.json"));
  expect([...slow.failures, ...late.failures]).toEqual([]);

  const denied = Object.assign(Object.create(store) as CountingBlobStore, {
    read: (key: string) => store.read(key),
    readIfChanged: (key: string, version: string) => store.readIfChanged(key, version),
    write: () => Promise.reject(new Error("AccessDenied")),
  });
  await changeMirrorConfig(store, add("c"));
  const other = copying(denied);
  expect((await other.current()).workspaces).toHaveLength(2);
  expect(other.failures).toEqual([new Error("AccessDenied")]);
});
