/** The part of the blob store contract about keys. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { NotFoundError } from "../../lib/errors.ts";
import type { BlobInfo, BlobStore } from "../../lib/store/blob-store.ts";
import { collect, collectKeys, MEBIBYTE, newKey, text } from "./blob-samples.ts";

export function keyContract(openStore: () => BlobStore): void {
  test("list gives the keys with a prefix, in byte order, with their sizes", async () => {
    const store = openStore();
    const folder = randomUUID();
    const names = [
      "a",
      "a.b",
      "a-b",
      "ab/c",
      "a0",
      "b/a/x",
      "b/a.x",
      "b/a0",
      "Z",
      "é",
      "z",
      "\u{1f600}",
      "\uff5e",
    ];
    const before = Date.now();
    for (const name of names) await store.write(`${folder}/${name}/leaf`, text(name));
    await store.write(`${folder}-other`, text("not below"));
    const sorted = names
      .map((name) => `${folder}/${name}/leaf`)
      .sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
    const infos: BlobInfo[] = [];
    for await (const info of store.list(`${folder}/`)) infos.push(info);
    expect(infos.map(({ key }) => key)).toEqual(sorted);
    for (const { key, sizeBytes, modifiedAtMs } of infos) {
      expect(sizeBytes).toBe(Buffer.byteLength(key.slice(folder.length + 1, -"/leaf".length)));
      expect(Math.abs(modifiedAtMs - before)).toBeLessThan(600_000);
    }
    expect(await collectKeys(store, `${folder}/b/a`)).toEqual([
      `${folder}/b/a.x/leaf`,
      `${folder}/b/a/x/leaf`,
      `${folder}/b/a0/leaf`,
    ]);
    expect(await collectKeys(store, folder)).toEqual([`${folder}-other`, ...sorted]);
    expect(await collectKeys(store, `${folder}/nothing/`)).toEqual([]);
  });

  test("list goes past a thousand keys, and may be ended early", async () => {
    const store = openStore();
    const folder = randomUUID();
    const keys = Array.from({ length: 1203 }, (_, index) => `${folder}/${String(index).padStart(5, "0")}`);
    for (let start = 0; start < keys.length; start += 50) {
      await Promise.all(keys.slice(start, start + 50).map((key) => store.write(key, text("x"))));
    }
    expect(await collectKeys(store, `${folder}/`)).toEqual(keys);
    for await (const { key } of store.list(`${folder}/`)) {
      expect(key).toBe(keys[0]);
      break;
    }
  });

  test.each([
    "plus+sign",
    "a space",
    "per%cent",
    "per%20cent",
    "100%",
    "ünï/ço dé",
    "\u{1f600}",
    "a&b=c?d#e",
    "it's (a) *key*!",
    "~;:@$,",
    '<tag>"q"',
    "trailing.",
    "...",
    "x".repeat(255),
  ])("a key with odd characters is kept as it is: %s", async (name) => {
    const store = openStore();
    const key = newKey(name);
    const version = await store.write(key, text(name), { ifVersion: "absent" });
    expect(await store.read(key)).toEqual({ bytes: text(name), version });
    expect(await collectKeys(store, key)).toEqual([key]);
    const upload = await store.startUpload(key, { ifVersion: version });
    await upload.write(new Uint8Array(9 * MEBIBYTE));
    await upload.complete();
    expect(await store.readRange(key, 9 * MEBIBYTE - 1, 1)).toEqual(new Uint8Array(1));
    await store.delete(key);
    await expect(store.read(key)).rejects.toThrow(NotFoundError);
  });

  test.each([
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a/..",
    "a\\b",
    "a\0b",
    "a\nb",
    "\ud800",
    ".nearside/lock",
    "x".repeat(256),
    `${"y/".repeat(512)}y`,
  ])("a key that is none is refused by every call: %j", async (key) => {
    const store = openStore();
    await expect(store.read(key)).rejects.toThrow(TypeError);
    await expect(store.readIfChanged(key, "v")).rejects.toThrow(TypeError);
    await expect(store.readRange(key, 0, 1)).rejects.toThrow(TypeError);
    await expect(store.readRange(key, 0, 0)).rejects.toThrow(TypeError);
    await expect(store.readUpTo(key, 0, 1)).rejects.toThrow(TypeError);
    await expect(collect(store.readStream(key, 0, 1))).rejects.toThrow(TypeError);
    await expect(store.write(key, text("x"))).rejects.toThrow(TypeError);
    await expect(store.startUpload(key)).rejects.toThrow(TypeError);
    await expect(store.delete(key)).rejects.toThrow(TypeError);
  });

  test.each(["../", "/", "a/../", "a//b", ".nearside/"])(
    "a prefix of no key is refused: %j",
    async (prefix) => {
      await expect(collectKeys(openStore(), prefix)).rejects.toThrow(TypeError);
    },
  );
}
