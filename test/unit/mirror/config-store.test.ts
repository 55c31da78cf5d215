import { expect, test } from "vitest";
import { ConfigError } from "../../../lib/errors.ts";
import { CurrentConfig, changeMirrorConfig, readMirrorConfig } from "../../../lib/mirror/config-store.ts";
import { EMPTY_CONFIG, type MirrorConfig, mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { servesBy } from "../../../lib/mirror/selection.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { CountingBlobStore } from "../../../lib/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../../lib/store/memory-blob-store.ts";
import { writeName } from "../../support/named-repository.ts";

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
  const current = new CurrentConfig(store);
  expect(await current.read()).toEqual(EMPTY_CONFIG);
  await changeMirrorConfig(store, add("a"));
  expect((await current.read()).workspaces).toHaveLength(1);
  store.reset();
  await current.read();
  expect(store.counts()).toMatchObject({ requests: 1, readIfChanged: 1 });
  await changeMirrorConfig(store, add("b"));
  expect((await current.read()).workspaces).toHaveLength(2);
});

test("a change that is not valid is reported once, and leaves the last valid configuration in use", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const reported: string[] = [];
  const current = new CurrentConfig(store, ({ message }) => reported.push(message));
  const write = (text: string) => store.write("config.json", new TextEncoder().encode(text));
  await write("{broken");
  await expect(current.read()).rejects.toThrow(ConfigError);
  expect(reported).toEqual([]);

  await store.delete("config.json");
  await changeMirrorConfig(store, add("a"));
  const valid = await current.read();
  await write('{"formatVersion": 1, "workspaces": [], "workspace": "b"}');
  store.reset();
  expect([await current.read(), await current.read(), await current.read()]).toEqual([valid, valid, valid]);
  expect(store.counts()).toMatchObject({ requests: 3, readIfChanged: 3 });
  expect(reported).toHaveLength(1);
  await write("[]");
  expect(await current.read()).toEqual(valid);
  expect(reported).toHaveLength(2);

  await write('{"formatVersion": 1, "workspaces": []}');
  expect((await current.read()).workspaces).toEqual([]);
});

test("asking what is served costs one request, and no round of its own", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const current = new CurrentConfig(store);
  await changeMirrorConfig(store, add("acme"));
  await writeName(store, "acme", "a", "01234567-89ab-cdef-0123-456789abcdef", { isPublic: true });
  const storage = { store, blocks: new BlockCache(store) };
  const catalog = new RepositoryCatalog(storage, { serves: servesBy(() => current.read()) });
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
  expect((await new CurrentConfig(store).read()).workspaces).toEqual([acme]);
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
