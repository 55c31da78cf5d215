/** How much each page sends at most, compressed, with its style and script: pages are for slow networks too. */
import { expect, test } from "vitest";
import { MetricHistory } from "../../../functions/local/metric-history.ts";
import { UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { METRIC_NAMES } from "../../../lib/metrics.ts";
import { appendAdminLog } from "../../../lib/mirror/admin-log.ts";
import { failed, firstRecord, markFailure } from "../../../lib/mirror/repository-state.ts";
import { repositoryDocument } from "../../../lib/repo/repository-record.ts";
import { collect } from "../../support/byte-chunks.ts";
import { requestFor } from "../../support/http-request.ts";
import { pageRig, type RigCaller } from "../../support/page-rig.ts";

const REPOSITORIES = 2_000;
const MAX_BYTES = 60_000;
const AT = "2026-11-25T11:58:00Z";

const slugs = Array.from({ length: REPOSITORIES }, (_, n) => `a-repository-with-a-long-name-${n}`);
const OLGA: RigCaller = {
  ...{ user: "olga@example.com", token: "olga-page-token", reads: slugs },
  administers: ["acme", ...Array.from({ length: 50 }, (_, n) => `another-workspace-${n}`)],
};

test("each page is below 60 kB with 2,000 repositories, full charts, failures and log", async () => {
  const history = new MetricHistory(() => Date.parse(AT) + Math.random() * 86_000_000);
  for (const name of METRIC_NAMES)
    for (let n = 0; n < 500; n++) history.record({ [name]: Math.random() * 1e9 });
  const { answer, store, sessionOf, uuidOf } = await pageRig({
    repositories: slugs.map((slug) => ({ slug, isPrivate: true })),
    callers: [OLGA],
    administration: () => ({
      canConnect: true,
      requests: { request: async () => undefined },
      configuration: {
        ...{ change: async () => undefined, tryAccount: async () => "", acceptRemovals: async () => 0 },
      },
      deadLetters: { list: async () => slugs.slice(0, 1_000), replay: async () => 0 },
      history: () => history.read(),
      log: SILENT_LOGGER,
    }),
  });
  const error = new UpstreamError("no answer", { retryable: true });
  for (const slug of slugs.slice(0, 100)) {
    const record = firstRecord({ workspace: "acme", slug, isPrivate: true, seenAt: AT });
    await repositoryDocument(store, uuidOf(slug)).change(() => failed(record, error, new Date(AT)));
    await markFailure(store, "acme", uuidOf(slug), true);
    const entry = { at: AT, who: OLGA.user, action: "sync", detail: slug, problem: `${slug} is not there` };
    await appendAdminLog(store, "acme", entry);
  }
  const headers = { ...(await sessionOf(OLGA)), host: "mirror.example", accept: "text/html" };
  const bytesOf = async (target: string) => {
    const request = requestFor(target, { headers: { ...headers, "accept-encoding": "gzip" } });
    const response = await answer({ ...request, remoteAddress: "192.0.2.7" });
    expect([target, response?.status, response?.headers["content-encoding"]]).toEqual([target, 200, "gzip"]);
    return (await collect(response?.body ?? [])).length;
  };
  const shared = (await bytesOf("/-/page.css")) + (await bytesOf("/-/page.js"));
  const targets = [
    "/",
    `/acme/${slugs[0]}`,
    "/-/admin",
    "/-/admin/acme",
    "/-/admin/acme/select?projects=all",
  ];
  for (const target of targets)
    expect([target, (await bytesOf(target)) + shared < MAX_BYTES]).toEqual([target, true]);
});
