import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { RepositoryNews } from "../../../lib/mirror/repository-news.ts";
import { parseRelayMessage, queueMessageOf, relayEventOf } from "../../../lib/relay/relay-message.ts";
import { synchronizedPayload } from "../../../lib/relay/synchronized-payload.ts";

const NEWS: RepositoryNews = {
  uuid: "01234567-89ab-cdef-0123-456789abcdef",
  facts: {
    workspace: "acme",
    slug: "website",
    projectKey: "WEB",
    isPrivate: true,
    seenAt: "2026-01-02T03:04:05.000Z",
  },
  generation: 7,
  refsSha256: "ab".repeat(32),
  isFirst: false,
  changes: [
    { name: "refs/heads/main", oldId: "1".repeat(40), newId: "2".repeat(40) },
    { name: "refs/heads/new", newId: "3".repeat(40) },
    { name: "refs/tags/old", oldId: "4".repeat(40) },
    { name: "refs/notes/x", newId: "5".repeat(40) },
  ],
};
const AT = new Date("2026-01-02T03:04:06.789Z");
const IDENTITY = { name: "Nearside", url: "https://mirror.example", gitUrl: "https://bitbucket.org" };

function payloadOf(news: RepositoryNews) {
  return synchronizedPayload(relayEventOf(news, AT), IDENTITY);
}

describe("the payload", () => {
  test("has the form of Bitbucket Data Center's", async () => {
    const sample = JSON.parse(
      await readFile(new URL("mirror-repo-synchronized.json", import.meta.url), "utf8"),
    );
    const payload = payloadOf(NEWS);
    const { actor: _actor, repository, ...fields } = sample;
    expect(Object.keys(payload)).toEqual(expect.arrayContaining(Object.keys(fields)));
    const { archived: _a, forkable: _f, hierarchyId: _h, id: _i, ...known } = repository;
    expect(Object.keys(payload.repository)).toEqual(expect.arrayContaining(Object.keys(known)));
    const [change] = payload.changes;
    expect(change).toEqual({
      ...sample.changes[0],
      fromHash: "1".repeat(40),
      toHash: "2".repeat(40),
    });
    expect(payload.date).toBe("2026-01-02T03:04:06+0000");
    expect(payload.date).toMatch(new RegExp(`^${sample.date.replace(/\d/g, "\\d").replace("+", "\\+")}$`));
  });

  test("says what became of each ref", () => {
    const zero = "0".repeat(40);
    expect(payloadOf(NEWS).changes.slice(1)).toEqual([
      {
        ref: { id: "refs/heads/new", displayId: "new", type: "BRANCH" },
        refId: "refs/heads/new",
        fromHash: zero,
        toHash: "3".repeat(40),
        type: "ADD",
      },
      {
        ref: { id: "refs/tags/old", displayId: "old", type: "TAG" },
        refId: "refs/tags/old",
        fromHash: "4".repeat(40),
        toHash: zero,
        type: "DELETE",
      },
      {
        ref: { id: "refs/notes/x", displayId: "refs/notes/x" },
        refId: "refs/notes/x",
        fromHash: zero,
        toHash: "5".repeat(40),
        type: "ADD",
      },
    ]);
  });

  test("names no refs where they are too many, and stays below EventBridge's limit where they are not", () => {
    const changes = (count: number, length: number) =>
      Array.from({ length: count }, (_, index) => ({
        name: `refs/heads/${String(index).padEnd(length, '"')}`,
        oldId: "1".repeat(40),
        newId: "2".repeat(40),
      }));
    for (const [count, length] of [
      [501, 1],
      [100, 250],
    ] as const) {
      const payload = payloadOf({ ...NEWS, changes: changes(count, length) });
      expect(payload).toMatchObject({ refLimitExceeded: true, syncType: "INCREMENTAL", changes: [] });
    }
    const most = payloadOf({ ...NEWS, changes: changes(500, 13) });
    expect(most).toMatchObject({ refLimitExceeded: false });
    expect(most.changes).toHaveLength(500);
    expect(Buffer.byteLength(JSON.stringify(most))).toBeLessThan(256 * 1024);
  });

  test("of a first sync, and where the changes are unknown, is of a snapshot", () => {
    expect(payloadOf({ ...NEWS, isFirst: true })).toMatchObject({
      syncType: "SNAPSHOT",
      refLimitExceeded: false,
    });
    const unknown = payloadOf({ ...NEWS, changes: undefined });
    expect(unknown).toMatchObject({ syncType: "SNAPSHOT", refLimitExceeded: true, changes: [] });
  });

  test("reads names as UTF-8", () => {
    const bytes = Buffer.from("refs/heads/käse").toString("latin1");
    expect(payloadOf({ ...NEWS, changes: [{ name: bytes, newId: "1".repeat(40) }] }).changes).toMatchObject([
      { refId: "refs/heads/käse" },
    ]);
  });
});

test("a message comes back as it was, and one sent again has the same id", () => {
  const event = relayEventOf(NEWS, AT);
  const receiver = { kind: "webhook", id: "one" } as const;
  const message = queueMessageOf(receiver, event, NEWS.refsSha256);
  expect(parseRelayMessage(message.body)).toMatchObject({ receiver, event });
  expect(message.dedupId.length).toBeLessThanOrEqual(128);
  const later = relayEventOf({ ...NEWS, changes: undefined }, new Date());
  expect(queueMessageOf(receiver, later, NEWS.refsSha256)).toMatchObject({
    groupId: message.groupId,
    dedupId: message.dedupId,
  });
  expect(() => parseRelayMessage('{"kind":"repository"}')).toThrow("not a message of the relay");
});
