/** The status function's handler answers as `gitHttp` does, and nothing of git. */
import { expect, test } from "vitest";
import { type GitHttpOptions, gitHttp } from "../../../lib/git-http/git-http.ts";
import type { ServedSource } from "../../../lib/git-http/served-source.ts";
import { statusHttp } from "../../../lib/git-http/status-http.ts";
import { textResponse } from "../../../lib/http/error-response.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { readResponse, requestFor } from "../../support/http-request.ts";

const MAIN = "a".repeat(40);
const SOURCE = {
  uuid: "a-uuid",
  generation: 7,
  verifiedAt: new Date("2026-11-25T12:00:00.000Z"),
  readRefs: async () => ({ refs: [{ name: "refs/heads/main", id: MAIN }] }),
} as unknown as ServedSource;

const options: GitHttpOptions = {
  access: async ({ repository }) =>
    repository.kind === "name" && repository.slug === "secret"
      ? { kind: "refused", status: 404, text: "no" }
      : { kind: "allowed", primaryPath: "acme/site" },
  find: async (asked) => (asked.kind === "name" && asked.slug === "site" ? SOURCE : undefined),
  unserved: async ({ asked }) =>
    asked.kind === "name" && asked.slug === "coming" ? textResponse(503, "coming") : undefined,
  readState: async () => undefined,
  push: { kind: "refuse" } as GitHttpOptions["push"],
  log: SILENT_LOGGER,
  agent: "nearside/test",
};

test.each([
  ["site/status", 200],
  ["site/wait?ref=refs/heads/main&timeout=0", 200],
  [`site/wait?ref=refs/heads/main&id=${"b".repeat(40)}&timeout=0`, 504],
  ["site/wait?timeout=0", 400],
  ["secret/status", 404],
  ["none/status", 404],
  ["coming/status", 503],
  ["site/else", 404],
])("%s is answered as by the git function: %i", async (path, status) => {
  const answers = [gitHttp(options), statusHttp(options)].map(async (handler) =>
    readResponse(await handler(requestFor(`/-/repositories/acme/${path}`))),
  );
  const [git, own] = await Promise.all(answers);
  expect(own?.status).toBe(status);
  expect({ ...own, body: undefined }).toEqual({ ...git, body: undefined });
});

test.each(["/acme/site.git/info/refs?service=git-upload-pack", "/acme/site.git/info/lfs/locks"])(
  "%s is not found",
  async (path) => {
    expect((await statusHttp(options)(requestFor(path))).status).toBe(404);
  },
);
