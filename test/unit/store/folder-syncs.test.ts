/** Which flushes of folders a write waits for. */
import { expect, test } from "vitest";
import { FolderSyncs } from "../../../lib/store/folder-syncs.ts";

/** Flushes end when the test ends them. */
function heldFlushes() {
  const flushes: { readonly folder: string; readonly end: (error?: Error) => void }[] = [];
  const syncs = new FolderSyncs(
    (folder) =>
      new Promise((resolve, reject) => {
        flushes.push({ folder, end: (error) => (error === undefined ? resolve() : reject(error)) });
      }),
  );
  const isDone = async (persisted: Promise<void>): Promise<boolean> => {
    const pending = Symbol("pending");
    const later = new Promise((resolve) => setImmediate(resolve, pending));
    return (await Promise.race([persisted, later])) !== pending;
  };
  return { syncs, flushes, isDone, folders: () => flushes.map(({ folder }) => folder) };
}

test("a file in a folder that was there needs one flush", async () => {
  const { syncs, flushes, isDone, folders } = heldFlushes();
  const persisted = syncs.persist("/store/a", undefined);
  expect(await isDone(persisted)).toBe(false);
  flushes[0]?.end();
  expect(await isDone(persisted)).toBe(true);
  expect(folders()).toEqual(["/store/a"]);
});

test("folders that were made are flushed with it, up to the one that holds the topmost", async () => {
  const { syncs, flushes, isDone, folders } = heldFlushes();
  const persisted = syncs.persist("/store/a/b", "/store/a");
  expect(folders()).toEqual(["/store/a/b", "/store/a", "/store"]);
  for (const { end } of flushes.slice(0, 2)) end();
  expect(await isDone(persisted)).toBe(false);
  flushes[2]?.end();
  expect(await isDone(persisted)).toBe(true);
});

test("files that come while their folder is flushed share the next flush", async () => {
  const { syncs, flushes, isDone } = heldFlushes();
  const first = syncs.persist("/store/a", undefined);
  const second = syncs.persist("/store/a", undefined);
  const third = syncs.persist("/store/a", undefined);
  expect(flushes).toHaveLength(1);
  flushes[0]?.end();
  expect(await isDone(first)).toBe(true);
  expect(await isDone(second)).toBe(false);
  expect(flushes).toHaveLength(2);
  flushes[1]?.end();
  await Promise.all([second, third]);
  expect(flushes).toHaveLength(2);
});

test("a file waits for the folders that another write has just made above it", async () => {
  const { syncs, flushes, isDone } = heldFlushes();
  const maker = syncs.persist("/store/a/b", "/store/a");
  const other = syncs.persist("/store/a/c", "/store/a/c");
  for (const { folder, end } of flushes) if (folder !== "/store") end();
  expect(await isDone(maker)).toBe(false);
  // The flush of /store/a began before /store/a/c was made.
  for (const { folder, end } of flushes.slice(3)) if (folder !== "/store") end();
  expect(await isDone(other)).toBe(false);
  flushes.find(({ folder }) => folder === "/store")?.end();
  await Promise.all([maker, other]);
});

test("a flush that fails fails those that wait for it, and no later one", async () => {
  const { syncs, flushes } = heldFlushes();
  const first = syncs.persist("/store/a", undefined);
  const second = syncs.persist("/store/a", undefined);
  flushes[0]?.end(new Error("EIO"));
  await expect(first).rejects.toThrow("EIO");
  flushes[1]?.end();
  await second;
});
