/** The answer's bytes: acknowledgments, then the pack in its framing. Pulled by the transport. */
import { copyPacks } from "../pack/copy-packs.ts";
import { decodePackHeader, PACK_HEADER_BYTES } from "../pack/pack-format.ts";
import { writePack } from "../pack/write-pack.ts";
import { decodePktLine, encodePktLine } from "../pktline.ts";
import type { AnswerItem } from "../ports.ts";
import {
  BAND,
  encodeBandPackets,
  muxSideband,
  SIDE_BAND_64K_PACKET_BYTES,
  SIDE_BAND_PACKET_BYTES,
  type SidebandInput,
} from "../sideband.ts";
import { untilAborted } from "../until-aborted.ts";
import { type AnswerLimit, sentWithinLimit } from "./answer-limit.ts";
import type { FetchRequest, FetchRequestV0 } from "./fetch-request.ts";
import type { AnswerPlanning, FinishedPack, PackPlan } from "./plan.ts";

/** How a pack came to be: stored packs copied whole, an answer that others get too, a kept recipe, a plan for this request. */
export type PackOrigin = "copied" | FinishedPack["origin"];

export function originOf(plan: PackPlan | FinishedPack): PackOrigin {
  if (plan.kind === "copy-answer") return plan.origin;
  return plan.kind === "copy-packs" ? "copied" : "planned";
}

export interface RespondOptions {
  /** Of what the transport can send. Default: none. */
  readonly answerLimit?: AnswerLimit | undefined;
  /** Gets what failed after the first byte; the client gets a message without details. */
  readonly onFailure: (error: unknown) => void;
  /** Ends the answer: with a word to the client if the reason is a TimeoutError. */
  readonly signal?: AbortSignal;
  /** A line for the user, its end included; sent before the pack, also to those who want no progress. */
  readonly notice?: string;
  /** The same for those who want progress; `undefined` for none. Asked for when the pack begins, of what is sent then. */
  readonly firstProgress?: () => string | undefined;
}

/** The lines as they go out: in the side-band, if the client wants that. @param lines - Of whole pkt-lines, one or more in each. */
export function* bandedLines(
  lines: readonly Uint8Array[],
  { sidebandAll }: FetchRequest,
): Generator<Uint8Array, void> {
  if (!sidebandAll) return yield* lines;
  for (const chunk of lines) {
    for (let rest = chunk; rest.length > 0; ) {
      const line = decodePktLine(rest);
      if (line.kind === "incomplete") throw new RangeError("a line of the answer is cut");
      yield line.kind === "data"
        ? encodeBandPackets(BAND.pack, line.payload)
        : rest.subarray(0, line.bytesConsumed);
      rest = rest.subarray(line.bytesConsumed);
    }
  }
}

export async function* respondV2(
  lines: readonly Uint8Array[],
  request: FetchRequest,
  planning: AnswerPlanning,
  options: RespondOptions,
): AsyncGenerator<Uint8Array, void> {
  yield* bandedLines([...lines, encodePktLine("packfile\n")], request);
  yield* muxSideband(packAndProgress(request, planning, options), options);
}

export async function* respondV0(
  lines: readonly Uint8Array[],
  request: FetchRequestV0,
  planning: AnswerPlanning,
  options: RespondOptions,
): AsyncGenerator<Uint8Array, void> {
  yield* lines;
  if (request.sideband === "none") {
    // Without side-band there are no words for a failure: the transport cuts the connection.
    return yield* bytesOf(untilAborted(packWithProgress(request, planning, options), options.signal));
  }
  const maxPacketBytes =
    request.sideband === "side-band" ? SIDE_BAND_PACKET_BYTES : SIDE_BAND_64K_PACKET_BYTES;
  yield* muxSideband(packAndProgress(request, planning, options), { ...options, maxPacketBytes });
}

async function* packAndProgress(
  request: FetchRequest,
  planning: AnswerPlanning,
  options: RespondOptions,
): AsyncGenerator<SidebandInput, void> {
  const { notice, firstProgress } = options;
  if (notice !== undefined) yield { progress: notice };
  const progress = request.noProgress ? undefined : firstProgress?.();
  if (progress !== undefined) yield { progress };
  const items = packWithProgress(request, planning, options);
  yield* request.noProgress ? bytesOf(items) : withTotals(items);
}

/** As git counts and sums up a pack that it copies out of packs; the number is in the pack's first bytes. */
async function* withTotals(items: AsyncIterable<SidebandInput>): AsyncGenerator<SidebandInput, void> {
  let isBegun = false;
  let totals: string | undefined;
  for await (const item of items) {
    if (!isBegun && item instanceof Uint8Array) {
      isBegun = true;
      if (item.length >= PACK_HEADER_BYTES) {
        const count = decodePackHeader(item).objectCount;
        yield {
          progress: `Enumerating objects: ${count}, done.\nCounting objects: 100% (${count}/${count}), done.\n`,
        };
        totals = `Total ${count} (delta 0), reused 0 (delta 0), pack-reused ${count}\n`;
      }
    }
    yield item;
  }
  if (totals !== undefined) yield { progress: totals };
}

async function* packWithProgress(
  { ofsDelta }: FetchRequest,
  planning: AnswerPlanning,
  { answerLimit }: RespondOptions,
): AsyncGenerator<SidebandInput, void> {
  const pack = packOf(yield* planning, ofsDelta);
  yield* answerLimit === undefined ? pack : sentWithinLimit(pack, answerLimit);
}

/**
 * The pack that was planned.
 * @param isKept - Whether it is for others than the one who asks; see `EntryWriterOptions`.
 */
export function packOf(
  plan: PackPlan | FinishedPack,
  ofsDelta: boolean,
  isKept = false,
): AsyncIterable<Uint8Array> {
  switch (plan.kind) {
    case "copy-packs":
      return copyPacks(plan.bodies, plan.openObjects, plan.streamBudget);
    case "copy-entries":
      return writePack({ ...plan, ofsDelta, isKept });
    case "copy-answer":
      return bytesOf(plan.items);
  }
}

async function* bytesOf(items: AsyncIterable<AnswerItem>): AsyncGenerator<Uint8Array, void> {
  for await (const item of items) if (item instanceof Uint8Array) yield item;
}
