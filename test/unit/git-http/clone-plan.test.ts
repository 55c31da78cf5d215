/** Plans for `nearside clone`: what they hold, what they cost, and when there is none. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../../lib/blob-http/signed-blob-urls.ts";
import { answerClonePlan } from "../../../lib/git-http/clone-plan.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import { statusHttp } from "../../../lib/git-http/status-http.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { clonePlanSchema } from "../../../lib/repo/clone-plan.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { MirrorBuilder, OFS_ALL } from "../../support/git/mirror-builder.ts";
import { makeSampleRepository } from "../../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { readResponse, requestFor } from "../../support/http-request.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const store = new CountingBlobStore(new MemoryBlobStore());
const urls = new SignedBlobUrls({ serverUrl: () => "http://mirror.example" });
let folder: TemporaryFolder;

beforeAll(async () => {
  folder = await temporaryFolder();
  const sample = `${folder.path}/sample`;
  await makeSampleRepository(sample);
  const builder = await MirrorBuilder.open(store, sample, `${folder.path}/scratch`);
  await builder.addPack({ revisions: ["main~15"] });
  await builder.addPack({ revisions: ["^main~15"], packObjectsOptions: ["--thin", ...OFS_ALL] });
  await builder.publish("acme", "sample");
  const rewound = await MirrorBuilder.open(store, sample, `${folder.path}/rewound`);
  await rewound.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await rewound.publish("acme", "rewound", { mayHoldUnreachable: true });
});

afterAll(() => folder.remove());

/** As a new process answers. */
function newHandlers() {
  const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store) });
  const options = {
    ...OPEN_ACCESS,
    access: async () => ({ kind: "allowed", primaryPath: "acme/sample" }) as const,
    find: (...request: Parameters<RepositoryCatalog["find"]>) => catalog.find(...request),
    clonePlan: answerClonePlan({ urls, gitUrl: "https://primary.example" }),
    log: SILENT_LOGGER,
    agent: "nearside/1",
  };
  store.reset();
  return { server: gitHttp(options), deployed: statusHttp(options) };
}

const request = (slug: string) =>
  requestFor(`/-/repositories/acme/${slug}/clone-plan`, { headers: { host: "mirror.example" } });

describe.each(["server", "deployed"] as const)("the handler of the %s mirror", (kind) => {
  test("names packs, indexes and refs at addresses that lead to them, for two requests to the store at first", async () => {
    const { [kind]: handler } = newHandlers();
    const response = await readResponse(await handler(request("sample")));
    expect(response).toMatchObject({ status: 200, headers: { "content-type": "application/json" } });
    // The name, the manifest.
    expect(store.counts()).toMatchObject({ requests: 2, rounds: 2 });
    const plan = clonePlanSchema.parse(JSON.parse(response.text));
    expect(plan.primaryUrl).toBe("https://primary.example/acme/sample.git");
    expect(plan.packs).toHaveLength(2);
    const bytesAt = async (text: string) => {
      const url = new URL(text);
      expect(url.pathname.startsWith(BLOB_PATH_PREFIX)).toBe(true);
      const { key = "", sizeBytes = -1 } = urls.verify(url.pathname, url.searchParams) ?? {};
      const { bytes } = await store.read(key);
      expect(bytes).toHaveLength(sizeBytes);
      return Buffer.from(bytes);
    };
    for (const { packUrl, indexUrl, packBytes, indexBytes, objectCount } of plan.packs) {
      const [pack, index] = await Promise.all([bytesAt(packUrl), bytesAt(indexUrl)]);
      expect([pack.length, index.length, pack.readUInt32BE(8)]).toEqual([packBytes, indexBytes, objectCount]);
      expect(index.subarray(-40, -20)).toEqual(pack.subarray(-20));
    }
    const refs = await bytesAt(plan.refs.url);
    expect(createHash("sha256").update(refs).digest("hex")).toBe(plan.refs.sha256);
  });

  test("asks the store whether the manifest has changed, and nothing else, for the next plan", async () => {
    const { [kind]: handler } = newHandlers();
    await readResponse(await handler(request("sample")));
    store.reset();
    expect((await handler(request("sample"))).status).toBe(200);
    expect(store.counts()).toMatchObject({ requests: 1, readIfChanged: 1 });
  });

  test.each(["rewound", "no-such"])("has none of %s", async (slug) => {
    const { [kind]: handler } = newHandlers();
    expect((await readResponse(await handler(request(slug)))).status).toBe(404);
  });
});

test("without addresses there are no plans", async () => {
  const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store) });
  const find = (...asked: Parameters<RepositoryCatalog["find"]>) => catalog.find(...asked);
  const handler = gitHttp({ ...OPEN_ACCESS, find, log: SILENT_LOGGER, agent: "nearside/1" });
  expect((await handler(request("sample"))).status).toBe(404);
});
