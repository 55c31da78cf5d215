import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { probeQuestions } from "../../../functions/wiring/probe-questions.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const AT = "2026-11-01T00:00:00.000Z";

/** @param counts - How many mirrored repositories each workspace has. */
async function askedOf(counts: Readonly<Record<string, number>>): Promise<string[]> {
  const store = new MemoryBlobStore();
  const names = Object.keys(counts);
  for (const name of names) {
    const entries = Array.from({ length: counts[name] ?? 0 }, (_, number) => [
      randomUUID(),
      { slug: `site-${number}`, isPrivate: true, updatedOn: AT, seenAt: AT, held: "mirrored" as const },
    ]);
    await workspaceIndex(store, name).change(() => ({ repositories: Object.fromEntries(entries) }));
  }
  const config = mirrorConfigOf(names.map((workspace) => ({ workspace, projects: "all" as const })));
  const questions = probeQuestions({
    store,
    readConfig: async () => config,
    accountOf: async () => ({ kind: "access-token", token: "t" }),
  });
  return (await questions()).map(({ repositoryPath }) => repositoryPath);
}

const workspacesOf = (asked: readonly string[]): string[] =>
  asked.map((path) => path.split("/")[0] ?? "").sort();

test("two repositories are asked about: of two workspaces where there are two, else of one", async () => {
  expect(workspacesOf(await askedOf({ one: 3, two: 3 }))).toEqual(["one", "two"]);
  expect(workspacesOf(await askedOf({ one: 3, empty: 0 }))).toEqual(["one", "one"]);
  expect(workspacesOf(await askedOf({ one: 1, two: 1, empty: 0 }))).toEqual(["one", "two"]);
  expect(new Set(await askedOf({ one: 2 })).size).toBe(2);
  expect(await askedOf({ one: 1 })).toEqual(["one/site-0"]);
  expect(await askedOf({ empty: 0 })).toEqual([]);
});
