import { expect, test } from "vitest";
import { reportExpiry } from "../../../lib/bitbucket/token-expiry.ts";
import { ConfigError, UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { reconcileMirror } from "../../../lib/reconcile/reconcile-mirror.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const REFUSALS = [
  new UpstreamError("rejected", { retryable: false, status: 401 }),
  new UpstreamError("too many requests", { retryable: true, status: 429 }),
  new ConfigError("the account's secret cannot be read"),
];

test.each(REFUSALS)(
  "a token that has ended is counted in each round, also where the list fails: %s",
  async (error) => {
    const counted: unknown[] = [];
    const log = {
      ...SILENT_LOGGER,
      warn: (...[, , values]: unknown[]) => void (values && counted.push(values)),
    };
    const config = mirrorConfigOf([
      { workspace: "acme", projects: "all", credential: "bot" },
      { workspace: "paused", projects: "all", credential: "bot", disabled: true },
    ]);
    const account = { kind: "access-token", token: "t", expires: "2026-11-29" } as const;
    const reports = await reconcileMirror({
      store: new MemoryBlobStore(),
      requests: { request: async () => undefined },
      readConfig: async () => config,
      apiOf: async () => {
        throw error;
      },
      reportExpiry: reportExpiry({ accountOf: async () => account, log, now: () => new Date("2026-11-30") }),
      log,
      mode: "quick",
    });
    expect(counted).toEqual([{ TokensEnding: 1 }]);
    expect(reports).toMatchObject([{ workspace: "acme", failure: error }, { workspace: "paused" }]);
  },
);

test("an account whose end cannot be read keeps no workspace from its round", async () => {
  const asked: string[] = [];
  const [failure] = REFUSALS;
  const reports = await reconcileMirror({
    store: new MemoryBlobStore(),
    requests: { request: async () => undefined },
    readConfig: async () => mirrorConfigOf([{ workspace: "acme", projects: "all" }]),
    apiOf: async ({ workspace }) => {
      asked.push(workspace);
      return { repository: () => Promise.reject(failure), async *repositories() {} };
    },
    reportExpiry: () => Promise.reject(failure),
    log: SILENT_LOGGER,
    mode: "list",
  });
  expect(asked).toEqual(["acme"]);
  expect(reports).toMatchObject([{ workspace: "acme", failure }]);
});
