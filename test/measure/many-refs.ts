/**
 * How long refs are waited for where there are 500,000 of them, in a process that knows nothing yet, over a folder:
 * `npm run measure:many-refs`.
 */
import { createHash } from "node:crypto";
import { objectIdAt } from "../../lib/git/object-id.ts";
import { listRefs } from "../../lib/git/upload-pack/ls-refs.ts";
import { WorkSlices } from "../../lib/git/work-slices.ts";
import { publish } from "../../lib/repo/publish.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { NO_DOCUMENT } from "../../lib/repo/stored-document.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { writeName } from "../support/named-repository.ts";

const REF_COUNT = 500_000;
const UUID = "0a1b2c3d-0000-4000-8000-000000000001";

await using folder = await temporaryFolder();
const refs = Array.from({ length: REF_COUNT }, (_, number) => ({
  name: `refs/heads/team-${number % 97}/feature/TASK-${number}-some-work`,
  id: objectIdAt(createHash("sha1").update(String(number)).digest(), 0),
}));
const [first] = refs;
const now = new Date();
await publish(new FsBlobStore(folder.path), UUID, NO_DOCUMENT, {
  head: { ref: first?.name ?? "" },
  refs,
  packs: [],
  mayHoldUnreachable: false,
  publishedAt: now,
  verifiedAt: now,
});
await writeName(new FsBlobStore(folder.path), "acme", "many", UUID);

for (const prefix of ["refs/heads/team-5/feature/TASK-5-", "refs/heads/team-5/", "refs/"]) {
  const startedMs = performance.now();
  const store = new FsBlobStore(folder.path);
  const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store) });
  const repository = await catalog.resolve("acme", "many", { refs: true });
  const refList = await repository?.readRefs();
  let listedBytes = 0;
  if (refList !== undefined) {
    const request = { peel: true, symrefs: true, unborn: true, prefixes: [prefix] };
    for (const chunk of await listRefs(refList, request, new WorkSlices())) listedBytes += chunk.length;
  }
  const tookMs = Math.round(performance.now() - startedMs);
  console.log(`${prefix}: ${listedBytes} bytes in ${tookMs} ms`);
}
