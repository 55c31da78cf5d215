import { expect, test } from "vitest";
import { checkStore } from "../../../functions/cli/doctor/check-store.ts";
import { NotFoundError } from "../../../lib/errors.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

/** Names of the checks, with what they came to. */
async function verdicts(store: MemoryBlobStore): Promise<string[]> {
  return (await checkStore(store, undefined)).map(({ check, status }) => `${check} ${status}`);
}

async function left(store: MemoryBlobStore): Promise<string[]> {
  return (await Array.fromAsync(store.list(""))).map(({ key }) => key);
}

const ALL = ["write", "read", "compare-and-swap", "list", "delete"];

test("a store that keeps its promises passes, and nothing is left in it", async () => {
  const store = new MemoryBlobStore();
  expect(await verdicts(store)).toEqual(ALL.map((name) => `store: ${name} ok`));
  expect(await left(store)).toEqual([]);
});

test("one that ignores conditions is found, whichever it ignores", async () => {
  for (const ignores of [
    (condition: unknown) => condition === "absent",
    (one: unknown) => one !== "absent",
  ]) {
    class Careless extends MemoryBlobStore {
      override write(...[key, bytes, condition]: Parameters<MemoryBlobStore["write"]>) {
        return super.write(key, bytes, ignores(condition?.ifVersion) ? undefined : condition);
      }
    }
    const store = new Careless();
    const findings = await checkStore(store, undefined);
    expect(findings.filter(({ status }) => status === "fail")).toMatchObject([
      { check: "store: compare-and-swap", advice: expect.stringContaining("conditional writes") },
    ]);
    expect(await left(store)).toEqual([]);
  }
});

test("each missing right is named", async () => {
  const refuse = async (): Promise<never> => {
    throw Object.assign(new Error("Access Denied"), { name: "AccessDenied" });
  };
  const writing = new MemoryBlobStore();
  writing.write = refuse;
  const [only, ...more] = await checkStore(writing, undefined);
  expect(only).toMatchObject({
    check: "store: write",
    status: "fail",
    advice: expect.stringContaining("rights"),
  });
  expect(more).toEqual([]);

  const deleting = new MemoryBlobStore();
  deleting.delete = refuse;
  expect((await verdicts(deleting)).filter((line) => line.endsWith("fail"))).toEqual(["store: delete fail"]);

  const reading = new MemoryBlobStore();
  reading.readRange = async () => {
    throw new NotFoundError("gone");
  };
  expect((await verdicts(reading)).filter((line) => line.endsWith("fail"))).toEqual(["store: read fail"]);

  const listing = new MemoryBlobStore();
  listing.list = async function* () {};
  expect((await verdicts(listing)).filter((line) => line.endsWith("fail"))).toEqual(["store: list fail"]);
});
