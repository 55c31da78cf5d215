import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FsBlobStore } from "../../../lib/store/fs-blob-store.ts";

const WRITER = fileURLToPath(new URL("./writer-process.ts", import.meta.url));
const KEY = "repos/x/manifest.json";
const UNFINISHED = ".nearside/unfinished";
/** More of them: `NEARSIDE_KILLS=100`. */
const KILLS = Number(process.env["NEARSIDE_KILLS"] ?? 12);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nearside-fs-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("no other user of the machine can read what is stored, nor list it", async () => {
  const root = join(folder, "parent/store");
  const store = new FsBlobStore(root);
  await store.write(KEY, new Uint8Array(1));
  await store.write(KEY, new Uint8Array(2));
  const modeOf = async (path: string) => ((await stat(join(folder, path))).mode & 0o777).toString(8);
  const folders = [
    "parent",
    "parent/store",
    "parent/store/repos",
    "parent/store/repos/x",
    "parent/store/.nearside",
  ];
  for (const path of folders) expect([path, await modeOf(path)]).toEqual([path, "700"]);
  expect(await modeOf(`parent/store/${KEY}`)).toBe("600");
  expect(await modeOf("parent/store/.nearside/unfinished")).toBe("700");
  expect(await modeOf("parent/store/.nearside/lock.sqlite")).toBe("600");
});

test(
  "a writer killed at any instant leaves the old blob or the new one, and the next conditional write works",
  async () => {
    const store = new FsBlobStore(folder);
    await store.write(KEY, new Uint8Array(300_000));
    let advanced = 0;
    for (let round = 0; round < KILLS; round += 1) {
      const before = await store.read(KEY);
      const writer = startWriter("replace", folder, KEY);
      if (writer.stdout !== null) await once(writer.stdout, "data"); // it has written once, and goes on
      await sleep(Math.random() * 15);
      writer.kill("SIGKILL");
      await once(writer, "exit");

      const { bytes, version } = await store.read(KEY);
      expect(bytes.length).toBe(300_000);
      expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
      if (version !== before.version) advanced += 1;
      await store.write(KEY, new Uint8Array(300_000).fill(round), { ifVersion: version });
    }
    expect(advanced).toBe(KILLS);
    expect(await keysOf(store)).toEqual([KEY]);

    const later = new FsBlobStore(folder);
    await later.write("other", new Uint8Array(1));
    expect(await readdir(join(folder, UNFINISHED))).toEqual([]);
  },
  120_000 + 4_000 * KILLS,
);

test("two processes and this one count together without losing one", async () => {
  const store = new FsBlobStore(folder);
  await store.write(KEY, new TextEncoder().encode("0"));
  const writers = [startWriter("count", folder, KEY, "60"), startWriter("count", folder, KEY, "60")];
  const exits = await Promise.all(writers.map((writer) => once(writer, "exit")));
  expect(exits.map(([code]) => code)).toEqual([0, 0]);
  expect(new TextDecoder().decode((await store.read(KEY)).bytes)).toBe("120");
}, 60_000);

test("two stores on one folder in one process exclude each other", async () => {
  const stores = [new FsBlobStore(folder), new FsBlobStore(folder)];
  const version = await new FsBlobStore(folder).write(KEY, new Uint8Array(3));
  const writes = stores.map((store, index) =>
    store.write(KEY, new Uint8Array(index + 5), { ifVersion: version }),
  );
  const results = await Promise.allSettled(writes);
  expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
});

test("a blob is a plain file at its key, and there is nothing else", async () => {
  const store = new FsBlobStore(folder);
  await store.write("repos/x/HEAD", new TextEncoder().encode("ref: refs/heads/main\n"));
  expect(await readdir(folder)).toEqual([".nearside", "repos"]);
  expect(await readdir(join(folder, "repos"), { recursive: true })).toEqual(["x", "x/HEAD"]);
  await store.delete("repos/x/HEAD");
  expect(await readdir(folder)).toEqual([".nearside"]);
});

test("a folder may be removed with its last blob while another write to it ends", async () => {
  const store = new FsBlobStore(folder);
  const writes = Array.from({ length: 200 }, async (_, i) => {
    const key = `repos/${i % 4}/${i}`;
    await store.write(key, new Uint8Array(3));
    await store.delete(key);
  });
  await Promise.all(writes);
  expect(await keysOf(store)).toEqual([]);
});

test("a store without a folder is empty, and reading does not make it", async () => {
  const missing = join(folder, "missing");
  expect(await keysOf(new FsBlobStore(missing))).toEqual([]);
  await new FsBlobStore(missing).delete("a");
  expect(await readdir(folder)).toEqual([]);
});

test("a file's time grows with every write, also where the clock stands behind it", async () => {
  const store = new FsBlobStore(folder);
  await store.write(KEY, new Uint8Array(3));
  const inAnHour = Date.now() / 1000 + 3600;
  await utimes(join(folder, KEY), inAnHour, inAnHour);
  let { version } = await store.read(KEY);
  let { mtimeNs } = await stat(join(folder, KEY), { bigint: true });
  for (let value = 1; value < 5; value += 1) {
    const next = await store.write(KEY, new Uint8Array(3).fill(value), { ifVersion: version });
    const after = await stat(join(folder, KEY), { bigint: true });
    expect(next).not.toBe(version);
    expect((await store.read(KEY)).version).toBe(next);
    expect(after.mtimeNs).toBeGreaterThan(mtimeNs);
    [version, mtimeNs] = [next, after.mtimeNs];
  }
});

test("writes that end in a conflict, an error or an abort leave no file", async () => {
  const store = new FsBlobStore(folder);
  await store.write(KEY, new Uint8Array(3));
  await expect(store.write(KEY, new Uint8Array(3), { ifVersion: "absent" })).rejects.toThrow();
  const tooShort = await store.startUpload(KEY);
  await expect(tooShort.complete({ head: new Uint8Array(1) })).rejects.toThrow(RangeError);
  const aborted = await store.startUpload(KEY);
  await aborted.write(new Uint8Array(3));
  expect(await readdir(join(folder, UNFINISHED))).toHaveLength(1);
  await aborted.abort();
  expect(await readdir(join(folder, UNFINISHED))).toEqual([]);
});

test("the first write removes what dead writers left, and nothing of living ones", async () => {
  const dead = startWriter("count", folder, KEY, "0");
  await once(dead, "exit");
  await mkdir(join(folder, UNFINISHED), { recursive: true });
  const names = {
    dead: `${dead.pid}-a`,
    living: `${process.pid}-b`,
    old: `${process.pid}-c`,
    odd: "what is this",
  };
  for (const name of Object.values(names)) await writeFile(join(folder, UNFINISHED, name), "left");
  const longAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
  await utimes(join(folder, UNFINISHED, names.old), longAgo, longAgo);
  await new FsBlobStore(folder).write(KEY, new Uint8Array(1));
  expect(await readdir(join(folder, UNFINISHED))).toEqual([names.living]);
});

function startWriter(...args: string[]): ChildProcess {
  return spawn(process.execPath, [WRITER, ...args], { stdio: ["ignore", "pipe", "inherit"] });
}

async function keysOf(store: FsBlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}
