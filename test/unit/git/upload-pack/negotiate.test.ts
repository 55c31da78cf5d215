import { describe, expect, test } from "vitest";
import { type ObjectId, parseObjectId } from "../../../../lib/git/object-id.ts";
import { pktText } from "../../../../lib/git/pktline.ts";
import { CommonHaves } from "../../../../lib/git/upload-pack/common-haves.ts";
import type { FetchRequest, FetchRequestV0 } from "../../../../lib/git/upload-pack/fetch-request.ts";
import { type Negotiation, negotiateV0, negotiateV2 } from "../../../../lib/git/upload-pack/negotiate.ts";
import { CountedSlices } from "../../../support/counted-slices.ts";
import { MemoryObjects } from "../../../support/memory-objects.ts";

const UNKNOWN = parseObjectId("5".repeat(40));
const objects = new MemoryObjects();
const commits: ObjectId[] = [];
for (let i = 0; i < 10; i++) commits.push(objects.addCommit({ file: `${i}` }, commits.slice(-1), 100 + i));
const [OLD, MID, TIP] = [commits[2], commits[5], commits[9]] as [ObjectId, ObjectId, ObjectId];
const OTHER_ROOT = objects.addCommit({ other: "" }, [], 500);
const TAG = objects.addTag(MID, "commit", "v1");

const BASE: FetchRequest = {
  wants: [TIP],
  wantRefs: [],
  haves: [],
  shallows: [],
  deepen: undefined,
  filter: undefined,
  sidebandAll: false,
  uriProtocols: [],
  isDone: false,
  waitForDone: false,
  thinPack: true,
  ofsDelta: true,
  noProgress: true,
  includeTag: false,
};
const V0: FetchRequestV0 = {
  ...BASE,
  multiAck: "detailed",
  noDone: false,
  sideband: "side-band-64k",
  hasEndedEarly: false,
} as const;

function shown({ lines, sendsPack }: Negotiation): string[] {
  const texts = lines.map((line) => {
    const text = new TextDecoder().decode(line);
    return line.length === 4 ? text : pktText(line.subarray(4));
  });
  return [...texts, ...(sendsPack ? ["pack"] : [])];
}

const v2 = async (request: Partial<FetchRequest>) => {
  const all = { ...BASE, ...request };
  return shown(await negotiateV2(all, new CommonHaves(objects, all.wants)));
};
const v0 = async (request: Partial<FetchRequestV0>) => {
  const all = { ...V0, ...request };
  const { shallows } = all;
  return shown(await negotiateV0(all, new CommonHaves(objects, all.wants, { shallows })));
};

describe("version 2", () => {
  test.each([
    ["a clone gets its pack at once", {}, ["pack"]],
    ["done gets the pack without acknowledgments", { haves: [OLD], isDone: true }, ["pack"]],
    ["nothing in common", { haves: [UNKNOWN] }, ["acknowledgments", "NAK", "0000"]],
    [
      "enough in common",
      { haves: [UNKNOWN, OLD] },
      ["acknowledgments", `ACK ${OLD}`, "ready", "0001", "pack"],
    ],
    [
      "a common tag counts as its commit",
      { haves: [TAG] },
      ["acknowledgments", `ACK ${TAG}`, "ready", "0001", "pack"],
    ],
    [
      "something in common, but below none of the wants",
      { haves: [OTHER_ROOT] },
      ["acknowledgments", `ACK ${OTHER_ROOT}`, "0000"],
    ],
    [
      "enough, but the client wants to decide itself",
      { haves: [OLD], waitForDone: true },
      ["acknowledgments", `ACK ${OLD}`, "0000"],
    ],
    [
      "one of two wants is not covered",
      { wants: [TIP, OTHER_ROOT], haves: [OLD] },
      ["acknowledgments", `ACK ${OLD}`, "0000"],
    ],
  ])("%s", async (_, request, expected) => {
    expect(await v2(request)).toEqual(expected);
  });
});

describe("version 0", () => {
  test.each([
    ["a clone", { isDone: true }, ["NAK", "pack"]],
    ["a round with nothing in common", { haves: [UNKNOWN] }, ["NAK"]],
    ["a round with enough", { haves: [OLD] }, [`ACK ${OLD} common`, `ACK ${OLD} ready`, "NAK"]],
    [
      "a round with enough, from a client that need not say done",
      { haves: [OLD], noDone: true },
      [`ACK ${OLD} common`, `ACK ${OLD} ready`, "NAK", `ACK ${OLD}`, "pack"],
    ],
    [
      "unknown haves behind a common one",
      { haves: [OLD, UNKNOWN] },
      [`ACK ${OLD} common`, `ACK ${UNKNOWN} ready`, "NAK"],
    ],
    [
      "done after common ones",
      { haves: [MID, OLD], isDone: true },
      [`ACK ${MID} common`, `ACK ${OLD} common`, `ACK ${OLD}`, "pack"],
    ],
    [
      "plain multi_ack",
      { multiAck: "plain" as const, haves: [OLD, UNKNOWN], isDone: true },
      [`ACK ${OLD} continue`, `ACK ${UNKNOWN} continue`, `ACK ${OLD}`, "pack"],
    ],
    [
      "no multi_ack: one acknowledgment",
      { multiAck: "none" as const, haves: [UNKNOWN, MID, OLD], isDone: true },
      [`ACK ${MID}`, "pack"],
    ],
    [
      "no multi_ack: a have that is the parent of the one before is acknowledged, too, as git does",
      {
        multiAck: "none" as const,
        haves: [MID, commits[4] as ObjectId, OLD, commits[1] as ObjectId],
        isDone: true,
      },
      [`ACK ${MID}`, `ACK ${commits[4]}`, "pack"],
    ],
    [
      "the client's history ends above the common commit",
      { haves: [OLD], shallows: [MID] },
      [`ACK ${OLD} common`, "NAK"],
    ],
    [
      "the client's history ends below the common commit",
      { haves: [MID], shallows: [OLD] },
      [`ACK ${MID} common`, `ACK ${MID} ready`, "NAK"],
    ],
    ["no multi_ack, a round", { multiAck: "none" as const, haves: [MID] }, [`ACK ${MID}`]],
    ["no multi_ack, nothing in common", { multiAck: "none" as const, haves: [UNKNOWN] }, ["NAK"]],
  ])("%s", async (_, request, expected) => {
    expect(await v0(request)).toEqual(expected);
  });
});

describe("work", () => {
  const COMMITS = 2000;
  const large = new MemoryObjects();
  const line: ObjectId[] = [];
  for (let i = 0; i < COMMITS; i++) line.push(large.addCommit({ file: `${i}` }, line.slice(-1), 10_000 + i));
  const others: ObjectId[] = [];
  for (let i = 0; i < 400; i++) others.push(large.addCommit({ other: `${i}` }, [], 10 + i));
  const wants = line.slice(-1);
  const unknownId = (i: number): ObjectId => parseObjectId(i.toString(16).padStart(40, "e"));

  /** Common haves that say nothing of the want, each followed by an unknown one: then git looks whether that is enough. */
  const pairs = (count: number): ObjectId[] => others.slice(0, count).flatMap((id, i) => [id, unknownId(i)]);

  async function workOf(haves: readonly ObjectId[], slices = new CountedSlices()): Promise<CountedSlices> {
    large.slices = slices;
    await negotiateV0({ ...V0, wants, haves }, new CommonHaves(large, wants));
    return slices;
  }

  test("grows with haves and commits, not with their product", async () => {
    const few = await workOf(pairs(1));
    const many = await workOf(pairs(400));
    expect(few.steps).toBeGreaterThan(COMMITS);
    expect(many.steps - few.steps).toBeLessThan(400 * 100);
  });

  test("leaves others their turn", async () => {
    const { steps, turns, longestBlockSteps } = await workOf(pairs(400));
    expect(turns).toBeGreaterThanOrEqual(Math.floor(steps / 10_100));
    expect(longestBlockSteps).toBeLessThan(10_100);
  });

  test("ends when the client has gone", async () => {
    const aborting = new AbortController();
    const slices = new CountedSlices(aborting.signal, (turns) => turns === 2 && aborting.abort());
    await expect(workOf(pairs(400), slices)).rejects.toThrow("stopped");
    expect(slices.turns).toBe(2);
  });

  test("a criss-cross of merges is looked at once", async () => {
    const knot = new MemoryObjects();
    let pair = [knot.addCommit({ a: "0" }, [], 100), knot.addCommit({ b: "0" }, [], 101)];
    for (let i = 1; i < 500; i++)
      pair = [
        knot.addCommit({ a: `${i}` }, pair, 100 + i * 2),
        knot.addCommit({ b: `${i}` }, pair, 101 + i * 2),
      ];
    const lone = knot.addCommit({ c: "0" }, [], 1);
    const slices = new CountedSlices();
    knot.slices = slices;
    const haves = new CommonHaves(knot, pair);
    await haves.add(lone);
    expect(await haves.isEnough()).toBe(false);
    expect(slices.steps).toBeLessThan(1000 * 40);
  });
});
