import { describe, expect, test } from "vitest";
import { answerPush } from "../../../lib/git-http/primary-redirect.ts";
import type { RepositoryReference } from "../../../lib/repo/names.ts";
import { readResponse, requestFor } from "../../support/http-request.ts";

const GIT_URL = "https://bitbucket.example";
const NAMED: RepositoryReference = { kind: "name", workspace: "acme", slug: "site" };
const NO_CACHE = { "cache-control": "no-cache, max-age=0, must-revalidate" };

describe("a push", () => {
  const answer = (
    kind: "redirect" | "refuse",
    target: string,
    asked: RepositoryReference = NAMED,
    path: string | undefined = "acme/a b",
  ) => readResponse(answerPush({ kind, gitUrl: GIT_URL }, requestFor(target), asked, path));
  const infoRefs = "/acme/site.git/info/refs?service=git-receive-pack";
  const refusal = {
    status: 403,
    text: "this mirror is read-only; to push to Bitbucket: git remote set-url --push origin https://bitbucket.example/acme/a%20b.git\n",
    headers: NO_CACHE,
  };

  test("is redirected where git asks for the refs", async () => {
    const response = await answer("redirect", infoRefs);
    expect(response).toMatchObject({
      status: 307,
      text: "pushes go to https://bitbucket.example/acme/a%20b.git\n",
      headers: {
        ...NO_CACHE,
        location: "https://bitbucket.example/acme/a%20b.git/info/refs?service=git-receive-pack",
      },
    });
  });

  test("is refused, with what to do, where git would not follow", async () => {
    expect(await answer("redirect", "/acme/site.git/git-receive-pack")).toMatchObject(refusal);
    expect(await answer("refuse", infoRefs)).toMatchObject(refusal);
    const asked: RepositoryReference = { kind: "project", projectKey: "CORE", slug: "site" };
    const byProject = await answer("redirect", infoRefs, asked);
    expect(byProject).toMatchObject(refusal);
    expect(byProject.headers).not.toHaveProperty("location");
  });

  test("names no address where none is known", async () => {
    const response = await readResponse(
      answerPush({ kind: "redirect", gitUrl: GIT_URL }, requestFor(infoRefs), NAMED, undefined),
    );
    expect(response).toMatchObject({
      status: 403,
      text: "this mirror is read-only, push to Bitbucket itself\n",
    });
    expect(response.headers).toMatchObject(NO_CACHE);
  });
});
