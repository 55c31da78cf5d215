import { expect, test } from "vitest";
import { NotFoundError, VersionConflictError } from "../../../lib/errors.ts";
import { type BlobCall, SimulatedStoreError, seededFaults } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const BYTES = new Uint8Array([1, 2, 3]);

test("a failure before a call leaves the store as it was, one after it does not", async () => {
  const before = new MemoryBlobStore({ faults: seededFaults(1, { failBefore: 1 }) });
  await expect(before.write("a", BYTES)).rejects.toThrow(SimulatedStoreError);
  let isBroken = true;
  const after = new MemoryBlobStore({
    faults: {
      after: () => {
        if (isBroken) throw new SimulatedStoreError("answer lost");
      },
    },
  });
  await expect(after.write("a", BYTES)).rejects.toThrow(SimulatedStoreError);
  isBroken = false;
  expect((await after.read("a")).bytes).toEqual(BYTES);
});

test("a lost race is a conflict: another version is there then", async () => {
  const races = { isOn: false };
  const store = new MemoryBlobStore({ faults: { before: () => (races.isOn ? "lose-race" : undefined) } });
  const version = await store.write("a", BYTES);
  races.isOn = true;
  await expect(store.write("a", BYTES, { ifVersion: version })).rejects.toThrow(VersionConflictError);
  await expect(store.write("new", BYTES, { ifVersion: "absent" })).rejects.toThrow(VersionConflictError);
  races.isOn = false;
  expect((await store.read("a")).version).not.toBe(version);
});

test("a hook may act as another writer, between a reader's calls", async () => {
  const other: { remove: (call: BlobCall) => Promise<void> } = { remove: async () => {} };
  const store = new MemoryBlobStore({
    faults: {
      before: async (call) => {
        await other.remove(call);
        return undefined;
      },
    },
  });
  await store.write("a", BYTES);
  other.remove = async ({ kind, key }) => {
    if (kind === "read") await store.delete(key);
  };
  await expect(store.read("a")).rejects.toThrow(NotFoundError);
});

test("the same seed gives the same faults, another seed gives others", async () => {
  const outcomes = async (seed: number) => {
    const store = new MemoryBlobStore({ faults: seededFaults(seed, { failBefore: 0.3, failAfter: 0.2 }) });
    const results = [];
    for (let call = 0; call < 60; call += 1) {
      const [result] = await Promise.allSettled([store.write("a", BYTES)]);
      results.push(result?.status);
    }
    return results.join();
  };
  expect(await outcomes(7)).toBe(await outcomes(7));
  expect(await outcomes(7)).not.toBe(await outcomes(8));
  expect(await outcomes(7)).toContain("fulfilled");
  expect(await outcomes(7)).toContain("rejected");
});
