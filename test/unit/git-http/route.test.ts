import { describe, expect, test } from "vitest";
import { type Route, routeOf } from "../../../lib/git-http/route.ts";
import { type RequestParts, readResponse, requestFor } from "../../support/http-request.ts";

const UUID = "0a1b2c3d-0000-4000-8000-00000000000a";
const NAMED = { kind: "name", workspace: "acme", slug: "site" };
const POST = { method: "POST", headers: { "content-type": "application/x-git-upload-pack-request" } };

const route = (target: string, parts: RequestParts = {}): Route => routeOf(requestFor(target, parts));

test.each([
  ["/acme/site", NAMED],
  ["/acme/site.git", NAMED],
  ["/acme/site.GIT", NAMED],
  ["/acme/site/", NAMED],
  ["/acme/site.git/", NAMED],
  ["/acme/site.git///", NAMED],
  ["//acme/site.git", NAMED],
  ["/acme//site.git", NAMED],
  ["/upstream//CORE/site.git/", { kind: "project", projectKey: "CORE", slug: "site" }],
  ["/acme/site.git.git", { ...NAMED, slug: "site.git" }],
  ["/acme/site.gitx", { ...NAMED, slug: "site.gitx" }],
  ["/ACME/Site", { kind: "name", workspace: "ACME", slug: "Site" }],
  [`/acme/{${UUID.toUpperCase()}}.git`, { kind: "uuid", workspace: "acme", uuid: UUID }],
  [`/acme/%7B${UUID}%7D`, { kind: "uuid", workspace: "acme", uuid: UUID }],
  [`/{${UUID}}/{${UUID}}`, { kind: "uuid", workspace: `{${UUID}}`, uuid: UUID }],
  ["/upstream/CORE/site.git", { kind: "project", projectKey: "CORE", slug: "site" }],
  ["/scm/CORE/site", { kind: "project", projectKey: "CORE", slug: "site" }],
])("%s is a repository", (path, repository) => {
  expect(route(`${path}/info/refs?service=git-upload-pack`)).toEqual({ kind: "info-refs", repository });
});

test.each([
  `/{${UUID}}/site`,
  `/acme/{${UUID.slice(1)}}`,
  "/acme",
  "/acme/a/b/site",
  "acme/x/site",
  "/acme%2Fsite",
  "/acme/%2F",
  "/-/webhooks",
  "/%2D/webhooks",
])("%s is none", async (path) => {
  const refused = route(`${path}/info/refs?service=git-upload-pack`);
  if (refused.kind !== "refused") throw new Error("it is a repository");
  expect(await readResponse(refused.response)).toMatchObject({
    status: 404,
    headers: { pragma: "no-cache" },
  });
});

describe("the service", () => {
  test.each([
    ["/acme/site/info/refs?service=git-upload-pack", {}, "info-refs"],
    ["/acme/site/info/refs?service=git-upload-pack", { method: "HEAD" }, "info-refs"],
    ["/acme/site/info/refs?service=git-receive-pack", {}, "receive-pack"],
    ["/acme/site/git-upload-pack", POST, "upload-pack"],
    [
      "/acme/site/git-upload-pack",
      { method: "POST", headers: { "content-type": " Application/X-Git-Upload-Pack-Request ; charset=x" } },
      "upload-pack",
    ],
    ["/acme/site/git-receive-pack", { method: "POST" }, "receive-pack"],
    ["/acme/site.git/info/lfs/objects/batch", { method: "POST" }, "lfs"],
    ["/acme/site/info/lfs/locks", {}, "lfs"],
    ["/-/repositories/acme/site/status", {}, "status"],
    ["/-/repositories/acme/site/wait", {}, "wait"],
    ["/-/repositories/acme/site/status/", {}, "status"],
    ["//-/repositories//acme/site//wait", {}, "wait"],
    ["//acme//site.git//git-upload-pack", POST, "upload-pack"],
    ["/acme/site.git/git-receive-pack", { method: "POST" }, "receive-pack"],
    ["/acme//site.git//info/lfs/objects/batch", { method: "POST" }, "lfs"],
  ])("of %s %j is %s", (target, parts, kind) => {
    expect(route(target, parts)).toEqual({ kind, repository: NAMED });
  });

  test.each([
    ["/acme/site/info/refs?service=git-upload-pack", "DELETE", 405, "GET, HEAD"],
    ["/acme/site/git-upload-pack", "GET", 405, "POST"],
    ["/acme/site/git-receive-pack", "PUT", 405, "POST"],
    ["/-/repositories/acme/site/status", "POST", 405, "GET"],
    ["/-/repositories/acme/site/wait", "HEAD", 405, "GET"],
  ])("of %s takes no %s", async (target, method, status, allow) => {
    const refused = route(target, { method });
    if (refused.kind !== "refused") throw new Error("it was taken");
    expect(await readResponse(refused.response)).toMatchObject({
      status,
      text: `method not allowed, use ${allow}\n`,
      headers: { allow, "cache-control": "no-cache, max-age=0, must-revalidate" },
    });
  });

  test.each([
    "/-/repositories/acme/site/state",
    "/-/repositories/acme/status",
    "/-/repositories/acme/x/site/status",
    "/x/-/repositories/acme/site/status",
    "/-/repositories/acme/site/status/more",
    "/acme/site/info/lfs/",
    "/acme/site/info/refs/more",
    "/acme/site/git-upload-archive",
  ])("of %s is unknown", (target) => {
    expect(route(target)).toMatchObject({ kind: "refused", response: { status: 404 } });
  });

  test.each([
    [
      "/acme/site/info/refs",
      "this server speaks git's smart HTTP protocol only: ask for ?service=git-upload-pack\n",
    ],
    ["/acme/site/info/refs?service=git-upload-archive", "unsupported service\n"],
    ["/acme/site/info/refs?service=git-receive-pack&service=git-receive-pack", "unsupported service\n"],
  ])("of %s is refused", async (target, text) => {
    const refused = route(target);
    if (refused.kind !== "refused") throw new Error("it was taken");
    expect(await readResponse(refused.response)).toMatchObject({ status: 403, text });
  });

  test("of a fetch needs its content type", async () => {
    for (const headers of [{}, { "content-type": "application/x-git-upload-pack-requests" }]) {
      const refused = route("/acme/site/git-upload-pack", { method: "POST", headers });
      if (refused.kind !== "refused") throw new Error("it was taken");
      expect(await readResponse(refused.response)).toMatchObject({
        status: 415,
        text: "expected content type application/x-git-upload-pack-request\n",
      });
    }
  });
});
