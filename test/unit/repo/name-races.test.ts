/** Jobs of two repositories that change one name at the same time, in every order of their reads and writes. */
import { expect, test } from "vitest";
import { changeRecord, factsOf, withFacts } from "../../../lib/mirror/repository-state.ts";
import { indexNames, releaseName, releaseReservedName, reserveName } from "../../../lib/repo/name-index.ts";
import { readName } from "../../../lib/repo/names.ts";
import { repositoryDocument } from "../../../lib/repo/repository-record.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { nameRepository } from "../../support/named-repository.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const ONE = "0a1b2c3d-0000-4000-8000-000000000001";
const TWO = "0a1b2c3d-0000-4000-8000-000000000002";
const EARLIER = "2026-01-01T00:00:00.000Z";
const LATER = "2026-01-01T00:00:01.000Z";
const SITE = { workspace: "acme", slug: "site", projectKey: "WEB", isPrivate: true };

/** More steps than two such jobs have follow the last choice. */
const CHOICES = 7;

type Work = (store: BlobStore) => Promise<unknown>;

/** Runs both over one store; bit after bit of `order` says whose next read or write is carried out. */
async function interleave(store: BlobStore, works: readonly [Work, Work], order: number): Promise<void> {
  const waiting: (() => void)[][] = [[], []];
  const stepped = (worker: number): BlobStore => {
    const step = (call: () => Promise<unknown>) =>
      new Promise<void>((resolve) => waiting[worker]?.push(resolve)).then(call);
    return new Proxy(store, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        return (...args: unknown[]) => step(() => method.apply(target, args));
      },
    });
  };
  let runningCount = works.length;
  const done = Promise.all(works.map((work, worker) => work(stepped(worker)).finally(() => runningCount--)));
  for (let bits = order; runningCount > 0; bits >>= 1) {
    await new Promise((resolve) => setImmediate(resolve));
    const [wanted, other] = [waiting[bits & 1], waiting[1 - (bits & 1)]];
    (wanted?.shift() ?? other?.shift())?.();
  }
  await done;
}

async function withdrawNames(store: BlobStore, uuid: string): Promise<void> {
  const { value } = await repositoryDocument(store, uuid).read();
  if (value === undefined) throw new Error("no record");
  const gone = await changeRecord(store, uuid, factsOf(value), (record) =>
    withFacts(record, factsOf(record), { isNamed: false }),
  );
  await indexNames(store, uuid, gone.value, { all: true });
}

const mirrorTwo: Work = (store) => nameRepository(store, TWO, { ...SITE, seenAt: LATER });

test.each<[string, Work, Work]>([
  ["is withdrawn", (store) => withdrawNames(store, ONE), mirrorTwo],
  [
    "is renamed and keeps its former name",
    (store) => nameRepository(store, ONE, { ...SITE, slug: "shop", seenAt: LATER }),
    mirrorTwo,
  ],
  [
    "is said to have lost the name",
    (store) => releaseName(store, TWO, { ...SITE, seenAt: LATER }),
    mirrorTwo,
  ],
  ["reserves the name", (store) => reserveName(store, ONE, { ...SITE, seenAt: EARLIER }), mirrorTwo],
  ["gives up a reserved name", (store) => releaseReservedName(store, ONE, SITE), mirrorTwo],
])("while one repository %s, another takes the name: it leads to that one", async (what, first, second) => {
  for (let order = 0; order < 2 ** CHOICES; order++) {
    const store = new MemoryBlobStore();
    if (what === "gives up a reserved name") await reserveName(store, ONE, { ...SITE, seenAt: EARLIER });
    else if (what !== "reserves the name") await nameRepository(store, ONE, { ...SITE, seenAt: EARLIER });
    await interleave(store, [first, second], order);
    const label = order.toString(2).padStart(CHOICES, "0");
    expect(await readName(store, "acme", "site"), label).toMatchObject({ uuid: TWO, isFormer: false });
    expect(await readName(store, "acme", "site"), label).not.toHaveProperty("isReserved");
  }
});
