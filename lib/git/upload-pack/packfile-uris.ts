/**
 * Packs that the client fetches by itself, from where the store hands them out, while the answer's own pack holds the rest.
 * Source: gitprotocol-v2(5), "packfile-uris"; packfile-uri.txt in git's technical documentation.
 */
import type { ObjectNumber, PackNumber } from "../object-numbers.ts";
import { DELIM_PKT, encodePktLine } from "../pktline.ts";
import type { PackBody, PackDownload, UploadPackSource } from "../ports.ts";
import type { PackPlan, Planning, ProgressText } from "./plan.ts";

/** So many presigned addresses are some 100 KB, before the first byte of the pack. */
const MAX_DOWNLOADS = 64;

/** What of a pack, in tenths, a client must lack to be sent there: it gets the rest once more. */
const MIN_TENTHS_LACKED = 9;

export interface PackOffer {
  readonly uriLines: readonly Uint8Array[];
  /** Of what is left. */
  readonly planning: Planning;
}

interface Download {
  readonly packNumber: PackNumber;
  readonly packBytes: number;
  readonly download: PackDownload;
}

/** Whether there is a pack that a client with these protocols may be sent to. */
export function canOfferPacks(source: UploadPackSource, protocols: readonly string[]): boolean {
  // The packs hold what they hold, whatever the refs reach.
  return !source.mayHoldUnreachable && downloadsOf(source.packBodies, protocols).length > 0;
}

/** Works out the whole plan: the addresses come before the pack, and so before any progress. */
export async function offerPacks(
  source: UploadPackSource,
  planning: Planning,
  protocols: readonly string[],
): Promise<PackOffer> {
  const progress: ProgressText[] = [];
  let step = await planning.next();
  for (; !step.done; step = await planning.next()) progress.push(step.value);
  const plan = step.value;
  const isLacked = lackedPacks(plan, source.packBodies);
  const lacked = downloadsOf(source.packBodies, protocols)
    .filter(({ packNumber }) => isLacked(packNumber))
    .slice(0, MAX_DOWNLOADS)
    // The addresses expire, and the client takes one pack after the other: it should not wait for the largest but the last.
    .reverse();
  if (lacked.length === 0) return { uriLines: [], planning: replay(progress, plan) };
  const lines = await Promise.all(
    lacked.map(async ({ download }) => encodePktLine(`${download.checksum} ${await download.url()}\n`)),
  );
  const uriLines = [encodePktLine("packfile-uris\n"), ...lines, DELIM_PKT];
  const packNumbers = new Set(lacked.map(({ packNumber }) => packNumber));
  return { uriLines, planning: replay(progress, await planWithout(source, plan, packNumbers)) };
}

/** Largest first. */
function downloadsOf(bodies: readonly PackBody[], protocols: readonly string[]): Download[] {
  const downloads: Download[] = [];
  for (const [packNumber, { packBytes, download }] of bodies.entries()) {
    if (download !== undefined && protocols.includes(download.protocol))
      downloads.push({ packNumber, packBytes, download });
  }
  return downloads.sort((a, b) => b.packBytes - a.packBytes);
}

/** One look at each object, however many packs there are. @returns Whether the client lacks nearly all of a pack. */
function lackedPacks(plan: PackPlan, bodies: readonly PackBody[]): (packNumber: PackNumber) => boolean {
  if (plan.kind === "copy-packs") return () => true;
  const counts = new Uint32Array(bodies.length);
  for (const objectNumber of plan.objectNumbers) {
    const packNumber = plan.objects.packs.packNumberOf(objectNumber);
    counts[packNumber] = (counts[packNumber] ?? 0) + 1;
  }
  return (packNumber) =>
    (counts[packNumber] ?? 0) * 10 >= (bodies[packNumber]?.sentObjectCount ?? 0) * MIN_TENTHS_LACKED;
}

/**
 * The client indexes the answer's own pack before it has the others, so no delta in it may build upon these: with other
 * packs left, each brings the bases of its own deltas; of single objects, those whose base went are written whole.
 */
async function planWithout(
  source: UploadPackSource,
  plan: PackPlan,
  packNumbers: ReadonlySet<number>,
): Promise<PackPlan> {
  if (plan.kind === "copy-packs") {
    const left = [...source.packBodies.keys()].filter((packNumber) => !packNumbers.has(packNumber));
    const objects = await source.openPacks(left);
    return {
      kind: "copy-entries",
      objects,
      objectNumbers: objects.packs.allObjects(),
      clientHas: () => false,
      isThin: false,
    };
  }
  const { packs } = plan.objects;
  const isLeft = (objectNumber: ObjectNumber): boolean => !packNumbers.has(packs.packNumberOf(objectNumber));
  return { ...plan, objectNumbers: plan.objectNumbers.filter(isLeft) };
}

async function* replay(progress: readonly ProgressText[], plan: PackPlan): Planning {
  yield* progress;
  return plan;
}
