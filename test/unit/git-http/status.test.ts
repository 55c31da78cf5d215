import { beforeEach, describe, expect, test } from "vitest";
import { type ObjectId, parseObjectId } from "../../../lib/git/object-id.ts";
import { StreamBudget } from "../../../lib/git/pack/stream-prefetch.ts";
import type { ServedSource } from "../../../lib/git-http/served-source.ts";
import { answerStatus, answerWait } from "../../../lib/git-http/status.ts";
import { readResponse, requestFor } from "../../support/http-request.ts";

const OLD = parseObjectId("a".repeat(40));
const NEW = parseObjectId("b".repeat(40));
const VERIFIED_AT = "2026-11-25T12:00:00.000Z";

/** With `main`, and in its packs what `held` says. */
function sourceAt(
  mainId: ObjectId,
  held: readonly ObjectId[] = [],
  refName = "refs/heads/main",
): ServedSource {
  const source: ServedSource = {
    uuid: "a-uuid",
    generation: 7,
    verifiedAt: new Date(VERIFIED_AT),
    forReader: () => source,
    objectCount: 0,
    readRefs: async () => ({ head: { ref: "refs/heads/main" }, refs: [{ name: refName, id: mainId }] }),
    openObjects: async () =>
      ({ findId: (id: ObjectId) => held.indexOf(id) }) as unknown as Awaited<
        ReturnType<ServedSource["openObjects"]>
      >,
    mayHoldUnreachable: false,
    packBodies: [],
    streamBudget: new StreamBudget(),
    openPacks: () => Promise.reject(new Error("not needed here")),
    handsOutUrls: false,
    offerBundles: async () => [],
  };
  return source;
}

async function read(answer: ReturnType<typeof answerStatus>) {
  const { status, headers, text } = await readResponse(await answer);
  return { status, headers, body: status === 400 ? text : JSON.parse(text) };
}

describe("the status", () => {
  test("reports the state of the mirroring, and not why it fails", async () => {
    const asked: string[] = [];
    const state = {
      ...{ state: "MIRRORED" as const, firstSyncAt: "f", lastSyncAt: "l", failedSyncCount: 2 },
      ...{ hashes: { refs: "h" }, lastError: "secret" },
    };
    const { status, headers, body } = await read(
      answerStatus(sourceAt(OLD), async (uuid) => {
        asked.push(uuid);
        return state as unknown as Awaited<ReturnType<NonNullable<Parameters<typeof answerStatus>[1]>>>;
      }),
    );
    const { lastError: _, ...shown } = state;
    expect(asked).toEqual(["a-uuid"]);
    expect({ status, body }).toEqual({
      status: 200,
      body: { ...shown, generation: 7, verifiedAt: VERIFIED_AT },
    });
    expect(headers).toMatchObject({ "content-type": "application/json", pragma: "no-cache" });
  });

  test("without a state reports the rest", async () => {
    for (const readState of [undefined, async () => undefined]) {
      const { body } = await read(answerStatus(sourceAt(OLD), readState));
      expect(body).toEqual({ generation: 7, verifiedAt: VERIFIED_AT });
    }
  });
});

describe("waiting", () => {
  let refreshes!: number;
  beforeEach(() => {
    refreshes = 0;
  });
  const wait = (
    query: string,
    first: ServedSource,
    next: readonly (ServedSource | undefined)[] = [],
    signal?: AbortSignal,
  ) =>
    read(
      answerWait(
        first,
        requestFor(`/-/repositories/acme/site/wait?${query}`, signal && { signal }),
        async () => {
          const source = next[refreshes++];
          return source && { source };
        },
      ),
    );

  test.each([
    ["", 0],
    ["timeout=3", 0],
    ["ref=main", 0],
    ["ref=HEAD", 0],
    ["ref=heads/main", 0],
    ["ref=refs/heads/a..b", 0],
    ["id=abc", 0],
    [`id=x${OLD}`, 0],
    [`id=${OLD}x`, 0],
    [`id=${OLD.toUpperCase()}`, 0],
    ["ref=refs/heads/main&timeout=x", 0],
    ["ref=refs/heads/main&timeout=-1", 0],
    ["ref=refs/heads/main&timeout=241", 0],
    ["ref=refs/heads/main&timeout=0001", 0],
  ])("for %j is refused", async (query) => {
    const { status, body, headers } = await wait(query, sourceAt(OLD));
    expect(status).toBe(400);
    expect(body).toBe(
      "give ref=<full name, such as refs/heads/main>, id=<40 hex digits> or both, and perhaps timeout=<0 to 240 s>\n",
    );
    expect(headers).toMatchObject({ pragma: "no-cache" });
  });

  test.each([
    ["ref=refs/heads/main", sourceAt(NEW)],
    ["ref=refs/heads/main&timeout=240", sourceAt(NEW)],
    [`ref=refs/heads/main&id=${NEW}`, sourceAt(NEW)],
    [`id=${NEW}`, sourceAt(NEW)],
    [`id=${NEW}`, sourceAt(OLD, [NEW])],
    ["ref=refs/heads/caf%C3%A9", sourceAt(OLD, [], "refs/heads/caf\u00c3\u00a9")],
  ])("for %s that is stored asks nothing", async (query, source) => {
    expect(await wait(query, source)).toMatchObject({
      status: 200,
      body: { isThere: true, verifiedAt: VERIFIED_AT },
    });
    expect(refreshes).toBe(0);
  });

  test.each([
    [`ref=refs/heads/main&id=${NEW}`, sourceAt(OLD, [NEW])],
    [`id=${NEW}`, sourceAt(OLD)],
    ["ref=refs/heads/mai", sourceAt(NEW)],
  ])("for %s ends when its time is up", async (query, source) => {
    expect(await wait(`${query}&timeout=0`, source)).toMatchObject({
      status: 504,
      body: { isThere: false, verifiedAt: VERIFIED_AT },
    });
    expect(refreshes).toBe(0);
  });

  test("ends as soon as a refresh brings it", async () => {
    const query = `ref=refs/heads/main&id=${NEW}&timeout=240`;
    expect(await wait(query, sourceAt(OLD), [undefined, sourceAt(OLD), sourceAt(NEW)])).toMatchObject({
      status: 200,
    });
    expect(refreshes).toBe(3);
  });

  test("ends when the caller has gone", async () => {
    expect(await wait(`id=${NEW}&timeout=240`, sourceAt(OLD), [], AbortSignal.abort())).toMatchObject({
      status: 504,
    });
    expect(refreshes).toBe(0);
  });

  test("looks again until its time is up", async () => {
    expect(await wait(`id=${NEW}&timeout=1`, sourceAt(OLD))).toMatchObject({ status: 504 });
    expect(refreshes).toBeGreaterThan(1);
  });
});
