/** The part of the blob store contract about conditions. */
import { expect, test } from "vitest";
import { NotFoundError, VersionConflictError } from "../../lib/errors.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { MEBIBYTE, newKey, text } from "./blob-samples.ts";

const RACERS = 30;
/** Ceph's RGW loses about 35 of 150 races of a conditional write against a DELETE, which is why documents are not deleted. */
const TOMBSTONE_RACES = 150;
const RACES_AT_ONCE = 10;

export function conditionContract(openStore: () => BlobStore): void {
  test("a write over the current version succeeds, over any other it conflicts and changes nothing", async () => {
    const store = openStore();
    const key = newKey();
    const first = await store.write(key, text("one"), { ifVersion: "absent" });
    const second = await store.write(key, text("two"), { ifVersion: first });
    await expect(store.write(key, text("three"), { ifVersion: first })).rejects.toThrow(VersionConflictError);
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
    await expect(store.write(key, text("two"), { ifVersion: version })).rejects.toThrow(VersionConflictError);
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

  test(`${TOMBSTONE_RACES} races of a new document against the tombstone of the old one: one wins, and is there`, async () => {
    const store = openStore();
    const raceOnce = async () => {
      const key = newKey();
      const ifVersion = await store.write(key, text("old"));
      const bodies = [text("new"), text('{"tombstone":true}')];
      const results = await Promise.allSettled(
        bodies.map(async (body, racer) => ({ racer, version: await store.write(key, body, { ifVersion }) })),
      );
      const { racer, version } = expectOneFulfilled(results);
      expect(await store.read(key)).toEqual({ bytes: bodies[racer], version });
      // Whichever was last, the next writer goes on from it.
      await store.write(key, text("next"), { ifVersion: version });
    };
    for (let done = 0; done < TOMBSTONE_RACES; done += RACES_AT_ONCE)
      await Promise.all(Array.from({ length: RACES_AT_ONCE }, raceOnce));
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
