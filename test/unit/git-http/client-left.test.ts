import { afterAll, beforeAll, expect, test } from "vitest";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import type { ReadOptions } from "../../../lib/store/blob-store.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { chunksOf } from "../../support/byte-chunks.ts";
import { writeName } from "../../support/named-repository.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";
import { type Primary, startPrimary } from "../../support/primary.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID, syncRig } from "../../support/sync-rig.ts";

let primary: Primary;
const store = new MemoryBlobStore();

beforeAll(async () => {
  primary = await startPrimary();
  await syncRig(primary, store).sync();
  await writeName(store, "acme", "sample", RIG_UUID);
}, 60_000);

afterAll(() => primary.close());

/** A mirror whose store does not answer for blobs of this kind, and the signals of the reads that wait. */
function hangingMirror(suffix: string) {
  const waiting: ReadOptions[] = [];
  const isBegun = Promise.withResolvers<void>();
  const hanging = new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (key: string, ...rest: unknown[]) => {
        const isRead = name === "read" || name === "readUpTo" || name === "readRange";
        if (!isRead || !key.endsWith(suffix)) return value.apply(target, [key, ...rest]);
        const options = (rest.at(-1) ?? {}) as ReadOptions;
        waiting.push(options);
        isBegun.resolve();
        return new Promise((_, reject) =>
          options.signal?.addEventListener("abort", () => reject(options.signal?.reason)),
        );
      };
    },
  });
  const catalog = new RepositoryCatalog({ store: hanging, blocks: new BlockCache(hanging) });
  const handler = gitHttp({
    ...OPEN_ACCESS,
    find: (...request) => catalog.find(...request),
    log: SILENT_LOGGER,
    agent: "nearside/1",
  });
  const fetchOne = async (signal: AbortSignal): Promise<void> => {
    const tip = await primary.git("rev-parse", "main");
    const have = await primary.git("rev-parse", "main~2");
    const lines = [
      "command=fetch",
      DELIM_PKT,
      "ofs-delta",
      "thin-pack",
      `want ${tip}`,
      `have ${have}`,
      "done",
    ];
    const encoded = lines.map((line) => (typeof line === "string" ? encodePktLine(`${line}\n`) : line));
    const { body } = await handler({
      method: "POST",
      path: "/acme/sample/git-upload-pack",
      query: new URLSearchParams(),
      headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
      body: chunksOf(Buffer.concat([...encoded, FLUSH_PKT]), []),
      signal,
    });
    for await (const _chunk of body);
  };
  return { fetchOne, waiting, isBegun: isBegun.promise };
}

test.each([
  [".idx", "indexes and histories"],
  [".pack", "entries"],
])("when the only client leaves, reads of %s end (%s)", async (suffix) => {
  const { fetchOne, waiting, isBegun } = hangingMirror(suffix);
  const controller = new AbortController();
  const fetching = fetchOne(controller.signal).catch(() => undefined);
  await isBegun;
  controller.abort(new Error("the client has left"));
  await fetching;
  expect(waiting.length).toBeGreaterThan(0);
  await expect.poll(() => waiting.every(({ signal }) => signal?.aborted)).toBe(true);
});

test.each([".idx", ".pack"])("when one of two clients leaves, shared reads of %s go on", async (suffix) => {
  const { fetchOne, waiting, isBegun } = hangingMirror(suffix);
  const [leaving, staying] = [new AbortController(), new AbortController()];
  const stayed = fetchOne(staying.signal).catch(() => undefined);
  await isBegun;
  const left = fetchOne(leaving.signal).catch(() => undefined);
  // Time to join the read; a client that is slower leaves before, which changes nothing for the other.
  await new Promise((resolve) => setTimeout(resolve, 200));
  leaving.abort(new Error("the client has left"));
  await left;
  expect(waiting.some(({ signal }) => signal?.aborted)).toBe(false);
  staying.abort(new Error("left as well"));
  await stayed;
  await expect.poll(() => waiting.every(({ signal }) => signal?.aborted)).toBe(true);
});
