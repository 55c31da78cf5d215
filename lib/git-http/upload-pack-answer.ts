/** The answers of git-upload-pack over HTTP: what is offered, and packs. */
import { errorFields, LimitExceededError, ProtocolError } from "../errors.ts";
import { encodePktLine, FLUSH_PKT } from "../git/pktline.ts";
import type { RefList } from "../git/ports.ts";
import type { AnswerLimit } from "../git/upload-pack/answer-limit.ts";
import {
  advertiseV0,
  advertiseV2,
  chooseProtocol,
  type ServerIdentity,
} from "../git/upload-pack/capabilities.ts";
import { DEFAULT_REQUEST_LIMITS, type RequestLimits } from "../git/upload-pack/fetch-request.ts";
import { type NewerSource, uploadPack } from "../git/upload-pack/upload-pack.ts";
import { WorkSlices } from "../git/work-slices.ts";
import { errorResponse, textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";
import type { AllowedAccess } from "./access-decision.ts";
import type { MeasuredAnswer } from "./measured-answer.ts";
import { decodedBody } from "./request-body.ts";
import type { AdmittedRequest } from "./request-load.ts";
import { NO_CACHE_HEADERS } from "./route.ts";
import type { ServedSource } from "./served-source.ts";
import { freshnessLine, staleNotice } from "./status.ts";

export async function advertise(
  source: ServedSource,
  request: HttpRequest,
  identity: ServerIdentity,
  newer: NewerSource,
): Promise<HttpResponse> {
  const protocol = chooseProtocol(request.headers["git-protocol"]);
  const lines =
    protocol === 2
      ? advertiseV2(identity, source)
      : advertisedRefs(await ((await newer("listed"))?.source ?? source).readRefs(), identity, protocol);
  return ok("application/x-git-upload-pack-advertisement", batched(lines));
}

function* advertisedRefs(
  refList: RefList,
  identity: ServerIdentity,
  protocol: 0 | 1,
): Generator<Uint8Array, void, undefined> {
  yield encodePktLine("# service=git-upload-pack\n");
  yield FLUSH_PKT;
  yield* advertiseV0(refList, identity, protocol);
}

interface UploadPackAnswerOptions {
  readonly log: Logger;
  readonly limits?: RequestLimits;
  readonly admitted: AdmittedRequest;
  readonly measured: MeasuredAnswer;
  readonly newer: NewerSource;
  /** Out of which the request is answered by now. */
  readonly served: () => ServedSource;
  readonly answerLimit: AnswerLimit | undefined;
}

export async function answerUploadPack(
  source: ServedSource,
  request: HttpRequest,
  {
    log,
    newer,
    served,
    admitted,
    measured,
    answerLimit,
    limits = DEFAULT_REQUEST_LIMITS,
  }: UploadPackAnswerOptions,
  decision: AllowedAccess,
): Promise<HttpResponse> {
  const body = decodedBody(request);
  if (body === undefined) {
    return textResponse(415, "unsupported content encoding, use gzip or none", NO_CACHE_HEADERS);
  }
  const protocol = chooseProtocol(request.headers["git-protocol"]);
  const { path } = request;
  const onFailure = (error: unknown): void => {
    measured.failed();
    log.error("git-http:answer-failed", { path, ...errorFields(error) }, { AnswerFailures: 1 });
  };
  try {
    const notice = staleNotice(decision);
    const answer = await uploadPack(source, admitted.body(body), {
      protocol,
      limits: { ...limits, keep: admitted.keep },
      turn: {
        startPlanning: (planBytes) => admitted.startPlanning(planBytes),
        planned(heldBytes, pack) {
          admitted.planned(heldBytes);
          measured.planned(pack);
        },
      },
      onFailure,
      answerLimit,
      signal: request.signal,
      newer,
      firstProgress: () => freshnessLine(served(), decision),
      ...(notice !== undefined && { notice }),
    });
    return ok("application/x-git-upload-pack-result", measured.sent(batched(answer)));
  } catch (error) {
    if (!(error instanceof ProtocolError || error instanceof LimitExceededError)) throw error;
    log.info("git-http:request-refused", { path, protocol, ...errorFields(error) });
    return errorResponse(error);
  }
}

function ok(contentType: string, body: AsyncIterable<Uint8Array>): HttpResponse {
  return { status: 200, headers: { "content-type": contentType, ...NO_CACHE_HEADERS }, body };
}

const BATCH_BYTES = 64 * 1024;
/** What is copied in a step of `WorkSlices`. */
const COPIED_BYTES_A_STEP = 500;

/** Joins short lines that are at hand, so that a list of refs is not sent in a write for each. Pauses for others. */
async function* batched(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  slices = new WorkSlices(),
): AsyncGenerator<Uint8Array, void, undefined> {
  if (Symbol.asyncIterator in chunks) {
    for await (const chunk of chunks) {
      // Many readers at a time pull what is at hand: together they would hold the event loop.
      await slices.spend(1 + chunk.length / COPIED_BYTES_A_STEP);
      yield chunk;
    }
    return;
  }
  let batch: Uint8Array[] = [];
  let batchBytes = 0;
  for (const chunk of chunks) {
    if (slices.isDue(1 + chunk.length / COPIED_BYTES_A_STEP)) await slices.pause();
    batch.push(chunk);
    batchBytes += chunk.length;
    if (batchBytes < BATCH_BYTES) continue;
    yield Buffer.concat(batch);
    batch = [];
    batchBytes = 0;
  }
  if (batchBytes > 0) yield Buffer.concat(batch);
}
