import { expect, test } from "vitest";
import { upstreamByUuid } from "../../../lib/bitbucket/upstream-by-uuid.ts";
import type { UpstreamGit, UpstreamRefs } from "../../../lib/bitbucket/upstream-git.ts";
import { NotFoundError, UpstreamError } from "../../../lib/errors.ts";

const REFS: UpstreamRefs = { protocol: 2, refs: [], head: { ref: "refs/heads/main" } };
const FETCH = { protocol: 2, wants: [], haves: [] } as const;

/** @param failures - What it throws when it is asked for refs, the first time and so on. */
function upstream(name: string, asked: string[], failures: readonly (Error | undefined)[] = []): UpstreamGit {
  let count = 0;
  return {
    async listRefs() {
      asked.push(`${name}: refs`);
      const failure = failures[count++];
      if (failure !== undefined) throw failure;
      return REFS;
    },
    async *fetchPack() {
      asked.push(`${name}: pack`);
      yield new Uint8Array(1);
    },
  };
}

async function fetchFrom({ fetchPack }: UpstreamGit): Promise<void> {
  for await (const _ of fetchPack(FETCH));
}

test("what is found by its uuid is fetched by its uuid, and the name is not asked for", async () => {
  const asked: string[] = [];
  const found = upstreamByUuid({ byUuid: upstream("uuid", asked), byName: upstream("name", asked) });
  expect(found.foundBy).toBe("unknown");
  await found.listRefs();
  await fetchFrom(found);
  expect([found.foundBy, asked]).toEqual(["uuid", ["uuid: refs", "uuid: pack"]]);
});

test.each([
  ["404", new NotFoundError("none")],
  ["401", new UpstreamError("401", { retryable: false, status: 401 })],
  ["a page", new UpstreamError("the primary's answer is not a git response", { retryable: false })],
])(
  "after %s for the uuid it is asked for by its name, and by its uuid again the next time",
  async (_, refusal) => {
    const asked: string[] = [];
    const byUuid = upstream("uuid", asked, [refusal]);
    const found = upstreamByUuid({ byUuid, byName: upstream("name", asked) });
    await found.listRefs();
    await fetchFrom(found);
    expect([found.foundBy, asked]).toEqual(["name", ["uuid: refs", "name: refs", "name: pack"]]);
    await found.listRefs();
    await fetchFrom(found);
    expect([found.foundBy, asked.slice(3)]).toEqual(["uuid", ["uuid: refs", "uuid: pack"]]);
  },
);

test("an outage is no refusal: the name is not asked for", async () => {
  const asked: string[] = [];
  const outage = new UpstreamError("503", { retryable: true, status: 503 });
  const byUuid = upstream("uuid", asked, [outage]);
  const found = upstreamByUuid({ byUuid, byName: upstream("name", asked) });
  await expect(found.listRefs()).rejects.toBe(outage);
  expect(asked).toEqual(["uuid: refs"]);
});
