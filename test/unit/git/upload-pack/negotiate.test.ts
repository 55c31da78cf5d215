import { describe, expect, test } from "vitest";
import { type ObjectId, parseObjectId } from "../../../../lib/git/object-id.ts";
import { pktText } from "../../../../lib/git/pktline.ts";
import { CommonHaves } from "../../../../lib/git/upload-pack/common-haves.ts";
import type { FetchRequest, FetchRequestV0 } from "../../../../lib/git/upload-pack/fetch-request.ts";
import { type Negotiation, negotiateV0, negotiateV2 } from "../../../../lib/git/upload-pack/negotiate.ts";
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
  return shown(await negotiateV0(all, new CommonHaves(objects, all.wants)));
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
    ["no multi_ack, a round", { multiAck: "none" as const, haves: [MID] }, [`ACK ${MID}`]],
    ["no multi_ack, nothing in common", { multiAck: "none" as const, haves: [UNKNOWN] }, ["NAK"]],
  ])("%s", async (_, request, expected) => {
    expect(await v0(request)).toEqual(expected);
  });
});
