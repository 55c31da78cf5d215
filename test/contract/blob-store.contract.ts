/** What lib/store/blob-store.ts promises, as tests. Every implementation runs them. */
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { NotFoundError, VersionConflictError } from "../../lib/errors.ts";
import type { BlobInfo, BlobStore } from "../../lib/store/blob-store.ts";
import { MAX_UPLOAD_HEAD_BYTES } from "../../lib/store/blob-store.ts";

const RACERS = 30;
const MEBIBYTE = 1024 * 1024;

/** @param openStore - Gives the same store each time; tests keep to folders of their own. */
export function blobStoreContract(openStore: () => BlobStore): void {
  const newKey = (name = "blob") => `${randomUUID()}/${name}`;

  describe("whole blobs", () => {
    test("a blob reads as it was written, with the version that the write gave", async () => {
      const store = openStore();
      const key = newKey();
      const version = await store.write(key, text("first"));
      expect(await store.read(key)).toEqual({ bytes: text("first"), version });
      const secondVersion = await store.write(key, text("second, longer"));
      expect(secondVersion).not.toBe(version);
      expect(await store.read(key)).toEqual({ bytes: text("second, longer"), version: secondVersion });
    });

    test("an empty blob is a blob", async () => {
      const store = openStore();
      const key = newKey();
      const version = await store.write(key, new Uint8Array());
      expect(await store.read(key)).toEqual({ bytes: new Uint8Array(), version });
    });

    test("every write of other bytes gives another version, also of the same size in quick succession", async () => {
      const store = openStore();
      const key = newKey();
      const versions = new Set<string>();
      for (let round = 0; round < 40; round += 1)
        versions.add(await store.write(key, text(`round ${round % 10} ${round}`.padEnd(12))));
      expect(versions.size).toBe(40);
    });

    test("the caller's buffer may be changed once the write has resolved", async () => {
      const store = openStore();
      const key = newKey();
      const bytes = text("mine");
      await store.write(key, bytes);
      bytes.fill(0);
      const read = await store.read(key);
      expect(read.bytes).toEqual(text("mine"));
      read.bytes.fill(0);
      expect((await store.read(key)).bytes).toEqual(text("mine"));
    });

    test("a missing blob is a NotFoundError for every kind of read", async () => {
      const store = openStore();
      const key = newKey();
      await store.write(`${key}/below`, text("a key that lies below is not the key"));
      await expect(store.read(key)).rejects.toThrow(NotFoundError);
      await expect(store.readIfChanged(key, '"x"')).rejects.toThrow(NotFoundError);
      await expect(store.readRange(key, 0, 1)).rejects.toThrow(NotFoundError);
      await expect(store.readRange(key, 0, 0)).rejects.toThrow(NotFoundError);
      await expect(store.readUpTo(key, 0, 1)).rejects.toThrow(NotFoundError);
      await expect(collect(store.readStream(key, 0, 1))).rejects.toThrow(NotFoundError);
      await expect(collect(store.readStream(key, 0, 0))).rejects.toThrow(NotFoundError);
      await expect(store.read(`${key}/below/more`)).rejects.toThrow(NotFoundError);
    });

    test("readIfChanged says unchanged until another write", async () => {
      const store = openStore();
      const key = newKey();
      const version = await store.write(key, text("one"));
      expect(await store.readIfChanged(key, version)).toBe("unchanged");
      const next = await store.write(key, text("two"));
      expect(await store.readIfChanged(key, version)).toEqual({ bytes: text("two"), version: next });
      expect(await store.readIfChanged(key, next)).toBe("unchanged");
    });

    test("a deleted blob is gone, and deleting it again is no error", async () => {
      const store = openStore();
      const key = newKey();
      await store.write(key, text("one"));
      await store.delete(key);
      await expect(store.read(key)).rejects.toThrow(NotFoundError);
      await store.delete(key);
      await store.write(key, text("two"), { ifVersion: "absent" });
      expect((await store.read(key)).bytes).toEqual(text("two"));
    });
  });

  describe("conditions", () => {
    test("a write over the current version succeeds, over any other it conflicts and changes nothing", async () => {
      const store = openStore();
      const key = newKey();
      const first = await store.write(key, text("one"), { ifVersion: "absent" });
      const second = await store.write(key, text("two"), { ifVersion: first });
      await expect(store.write(key, text("three"), { ifVersion: first })).rejects.toThrow(
        VersionConflictError,
      );
      await expect(store.write(key, text("three"), { ifVersion: "absent" })).rejects.toThrow(
        VersionConflictError,
      );
      expect(await store.read(key)).toEqual({ bytes: text("two"), version: second });
    });

    test("a write over a version of a blob that is gone conflicts", async () => {
      const store = openStore();
      const key = newKey();
      const version = await store.write(key, text("one"));
      await store.delete(key);
      await expect(store.write(key, text("two"), { ifVersion: version })).rejects.toThrow(
        VersionConflictError,
      );
      await expect(store.read(key)).rejects.toThrow(NotFoundError);
    });

    test.each([
      ["over one version", async (store: BlobStore, key: string) => store.write(key, text("base"))],
      ["where there is none", async () => "absent"],
    ])(`of ${RACERS} writers %s, one wins and the others conflict`, async (_name, prepare) => {
      const store = openStore();
      const key = newKey();
      const ifVersion = await prepare(store, key);
      const results = await race(async (racer) => store.write(key, text(`racer ${racer}`), { ifVersion }));
      await expectOneWinner(store, key, results);
    });

    test.each([
      ["over one version", async (store: BlobStore, key: string) => store.write(key, text("base"))],
      ["where there is none", async () => "absent"],
    ])(`of ${RACERS} uploads %s, one wins and the others conflict`, async (_name, prepare) => {
      const store = openStore();
      const key = newKey();
      const ifVersion = await prepare(store, key);
      const results = await race(async (racer) => {
        const upload = await store.startUpload(key, { ifVersion });
        await upload.write(text(`racer ${racer}`));
        return upload.complete();
      });
      await expectOneWinner(store, key, results);
    });

    test("of 4 uploads of several parts over one version, one wins", async () => {
      const store = openStore();
      const key = newKey();
      const ifVersion = await store.write(key, text("base"));
      const results = await race(async (racer) => {
        const upload = await store.startUpload(key, { ifVersion });
        await upload.write(new Uint8Array(9 * MEBIBYTE).fill(racer));
        return upload.complete();
      }, 4);
      const winner = expectOneFulfilled(results);
      const { bytes, version } = await store.read(key);
      expect({ version, first: bytes[0], last: bytes.at(-1), length: bytes.length }).toEqual({
        version: winner.version,
        first: winner.racer,
        last: winner.racer,
        length: 9 * MEBIBYTE,
      });
    });

    test("writers that read again after a conflict lose no update", async () => {
      const store = openStore();
      const key = newKey();
      await store.write(key, text("0"));
      await Promise.all(Array.from({ length: 5 }, () => incrementTimes(store, key, 8)));
      expect((await store.read(key)).bytes).toEqual(text("40"));
    });
  });

  describe("ranges", () => {
    test("a range inside the blob gives exactly its bytes, as bytes and as a stream", async () => {
      const store = openStore();
      const key = newKey();
      const bytes = pattern(3 * MEBIBYTE + 17);
      await store.write(key, bytes);
      const ranges: [number, number][] = [
        [0, 1],
        [0, bytes.length],
        [bytes.length - 1, 1],
        [MEBIBYTE - 1, 2],
        [5, 2 * MEBIBYTE],
      ];
      for (const [offset, length] of ranges) {
        const expected = bytes.subarray(offset, offset + length);
        expectSameBytes(await store.readRange(key, offset, length), expected);
        expectSameBytes(await collect(store.readStream(key, offset, length)), expected);
        expectSameBytes(await store.readUpTo(key, offset, length), expected);
      }
    });

    test("an empty range is empty up to the end of the blob", async () => {
      const store = openStore();
      const key = newKey();
      await store.write(key, text("ten bytes."));
      for (const offset of [0, 5, 10]) {
        expect(await store.readRange(key, offset, 0)).toEqual(new Uint8Array());
        expect(await collect(store.readStream(key, offset, 0))).toEqual(new Uint8Array());
      }
    });

    test.each([
      [0, 11],
      [10, 1],
      [9, 2],
      [11, 0],
      [5000, 10],
      [-1, 2],
      [0, -1],
      [0.5, 1],
      [Number.NaN, 1],
      [0, 2 ** 53],
    ])("a range that is not inside a blob of 10 bytes is a RangeError: %d, %d", async (offset, length) => {
      const store = openStore();
      const key = newKey();
      await store.write(key, text("ten bytes."));
      await expect(store.readRange(key, offset, length)).rejects.toThrow(RangeError);
      await expect(collect(store.readStream(key, offset, length))).rejects.toThrow(RangeError);
    });

    test("readUpTo stops at the end, and refuses to start there", async () => {
      const store = openStore();
      const key = newKey();
      await store.write(key, text("ten bytes."));
      expect(await store.readUpTo(key, 4, 100)).toEqual(text("bytes."));
      expect(await store.readUpTo(key, 9, 1)).toEqual(text("."));
      await expect(store.readUpTo(key, 10, 1)).rejects.toThrow(RangeError);
      await expect(store.readUpTo(key, 0, 0)).rejects.toThrow(RangeError);
      await expect(store.readUpTo(key, -1, 5)).rejects.toThrow(RangeError);
      await store.write(key, new Uint8Array());
      await expect(store.readUpTo(key, 0, 1)).rejects.toThrow(RangeError);
    });

    test("ending streams early, many times over, leaves the store usable", async () => {
      const store = openStore();
      const key = newKey();
      await store.write(key, pattern(4 * MEBIBYTE));
      for (let round = 0; round < 300; round += 1) {
        for await (const chunk of store.readStream(key, round, 3 * MEBIBYTE)) {
          expect(chunk[0]).toBe(patternByte(round));
          break;
        }
      }
      expectSameBytes(await store.readRange(key, 7, 9), pattern(16).subarray(7));
    });

    test("a stream of a blob that is replaced meanwhile gives the old bytes whole or fails", async () => {
      const store = openStore();
      const key = newKey();
      await store.write(key, new Uint8Array(12 * MEBIBYTE).fill(1));
      const seen = new Set<number>();
      let seenBytes = 0;
      let failure: unknown;
      try {
        for await (const chunk of store.readStream(key, 0, 12 * MEBIBYTE)) {
          if (seenBytes === 0) await store.write(key, new Uint8Array(12 * MEBIBYTE).fill(2));
          for (const byte of chunk) seen.add(byte);
          seenBytes += chunk.length;
        }
      } catch (error) {
        failure = error;
      }
      expect(seen).toEqual(new Set([1]));
      expect(failure === undefined ? seenBytes : 12 * MEBIBYTE).toBe(12 * MEBIBYTE);
    });

    test("readers during replacements see one write, whole", async () => {
      const store = openStore();
      const key = newKey();
      const sizeBytes = 300_000;
      await store.write(key, new Uint8Array(sizeBytes).fill(0));
      let isWriting = true;
      const reading = Array.from({ length: 4 }, async () => {
        let newest = 0;
        while (isWriting) {
          const { bytes } = await store.read(key);
          expect(bytes.length).toBe(sizeBytes);
          const value = bytes[0] ?? -1;
          expect(bytes.every((byte) => byte === value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(newest);
          newest = value;
        }
      });
      for (let value = 1; value <= 40; value += 1)
        await store.write(key, new Uint8Array(sizeBytes).fill(value));
      isWriting = false;
      await Promise.all(reading);
    });
  });

  describe("uploads", () => {
    test.each([
      ["nothing", 0, 1],
      ["a few bytes", 10, 3],
      ["exactly 8 MiB", 8 * MEBIBYTE, 100_000],
      ["a byte more than 8 MiB", 8 * MEBIBYTE + 1, MEBIBYTE],
      ["exactly 16 MiB in one write", 16 * MEBIBYTE, 16 * MEBIBYTE],
      ["41 MiB in odd pieces", 41 * MEBIBYTE + 5, 777_777],
    ])("%s arrives as it was written", async (_name, sizeBytes, pieceBytes) => {
      const store = openStore();
      const key = newKey();
      const bytes = pattern(sizeBytes);
      const upload = await store.startUpload(key);
      for (let start = 0; start < sizeBytes; start += pieceBytes) {
        const piece = bytes.slice(start, start + pieceBytes);
        await upload.write(piece);
        piece.fill(0); // the caller may use its buffer again
      }
      await expect(store.read(key)).rejects.toThrow(NotFoundError);
      const version = await upload.complete();
      const blob = await store.read(key);
      expect(blob.version).toBe(version);
      expectSameBytes(blob.bytes, bytes);
    });

    test.each([
      ["one part", 20_000],
      ["several parts", 17 * MEBIBYTE],
    ])("the head replaces the first bytes of %s", async (_name, sizeBytes) => {
      const store = openStore();
      const bytes = pattern(sizeBytes);
      for (const headBytes of [1, 12, MAX_UPLOAD_HEAD_BYTES]) {
        const key = newKey();
        const upload = await store.startUpload(key);
        await upload.write(bytes);
        const head = new Uint8Array(headBytes).fill(0xee);
        await upload.complete({ head });
        const expected = bytes.slice();
        expected.set(head);
        expectSameBytes((await store.read(key)).bytes, expected);
      }
    });

    test("a head as long as the blob is the blob; a longer one is a RangeError, and nothing is written", async () => {
      const store = openStore();
      const key = newKey();
      const upload = await store.startUpload(key);
      await upload.write(text("abc"));
      await upload.complete({ head: text("xyz") });
      expect((await store.read(key)).bytes).toEqual(text("xyz"));

      const tooShort = await store.startUpload(key);
      await tooShort.write(text("abc"));
      await expect(tooShort.complete({ head: text("wxyz") })).rejects.toThrow(RangeError);
      const long = await store.startUpload(key);
      await long.write(new Uint8Array(10_000));
      await expect(long.complete({ head: new Uint8Array(MAX_UPLOAD_HEAD_BYTES + 1) })).rejects.toThrow(
        RangeError,
      );
      expect((await store.read(key)).bytes).toEqual(text("xyz"));
    });

    test("an aborted upload leaves nothing, and abort is safe at any time", async () => {
      const store = openStore();
      const key = newKey();
      const upload = await store.startUpload(key);
      await upload.write(new Uint8Array(20 * MEBIBYTE));
      await upload.abort();
      await upload.abort();
      await expect(upload.write(text("more"))).rejects.toThrow();
      await expect(upload.complete()).rejects.toThrow();
      await expect(store.read(key)).rejects.toThrow(NotFoundError);
      expect(await collectKeys(store, key)).toEqual([]);

      const completed = await store.startUpload(key);
      await completed.write(text("here"));
      await completed.complete();
      await completed.abort();
      expect((await store.read(key)).bytes).toEqual(text("here"));
    });

    test("the condition counts when the upload completes", async () => {
      const store = openStore();
      const key = newKey();
      const upload = await store.startUpload(key, { ifVersion: "absent" });
      await upload.write(text("late"));
      await store.write(key, text("early"));
      await expect(upload.complete()).rejects.toThrow(VersionConflictError);
      expect((await store.read(key)).bytes).toEqual(text("early"));
    });
  });

  describe("keys", () => {
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
      "y/".repeat(512) + "y",
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
  });
}

interface Winner {
  readonly racer: number;
  readonly version: string;
}

function race(
  run: (racer: number) => Promise<string>,
  racers = RACERS,
): Promise<PromiseSettledResult<Winner>[]> {
  return Promise.allSettled(
    Array.from({ length: racers }, async (_, racer) => ({ racer, version: await run(racer) })),
  );
}

function expectOneFulfilled(results: readonly PromiseSettledResult<Winner>[]): Winner {
  const winners: Winner[] = [];
  for (const result of results) {
    if (result.status === "fulfilled") winners.push(result.value);
    else expect(result.reason).toBeInstanceOf(VersionConflictError);
  }
  expect(winners).toHaveLength(1);
  return winners[0] ?? expect.fail("no winner");
}

async function expectOneWinner(
  store: BlobStore,
  key: string,
  results: readonly PromiseSettledResult<Winner>[],
): Promise<void> {
  const { racer, version } = expectOneFulfilled(results);
  expect(await store.read(key)).toEqual({ bytes: text(`racer ${racer}`), version });
}

async function incrementTimes(store: BlobStore, key: string, times: number): Promise<void> {
  for (let done = 0; done < times; ) {
    const { bytes, version } = await store.read(key);
    const next = text(String(Number(new TextDecoder().decode(bytes)) + 1));
    try {
      await store.write(key, next, { ifVersion: version });
      done += 1;
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
    }
  }
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** Bytes that tell where they are: no shift by a power of two goes unseen. */
function pattern(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let position = 0; position < sizeBytes; position += 1) bytes[position] = patternByte(position);
  return bytes;
}

function patternByte(position: number): number {
  return (position % 251) ^ (Math.floor(position / 65_521) & 0xff);
}

/** Like toEqual, and fast for large arrays. */
function expectSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  expect(Buffer.compare(actual, expected)).toBe(0);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(Buffer.concat(all));
}

async function collectKeys(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
