/** Answers `object-info`: the sizes of objects, without the objects. Source: gitprotocol-v2(5), "object-info". */
import { LimitExceededError } from "../../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId } from "../object-id.ts";
import { encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { UploadPackSource } from "../ports.ts";
import { findPresent, findUnreachable } from "../walk/reachable.ts";
import type { RequestLimits } from "./fetch-request.ts";
import { lineObjectId, unexpectedLine } from "./request-lines.ts";

export interface ObjectInfoRequest {
  size: boolean;
  readonly ids: ObjectId[];
}

/** Adds a line to the request. @throws {ProtocolError} No such argument, or a malformed one. @throws {LimitExceededError} */
export function addInfoArgument(
  request: ObjectInfoRequest,
  line: string,
  { maxInfoObjects: maxCount, keep }: RequestLimits,
): void {
  if (line === "size") request.size = true;
  else if (line.startsWith("oid ")) {
    if (request.ids.length >= maxCount)
      throw new LimitExceededError("too many objects in one request", { maxCount });
    keep?.(OBJECT_ID_BYTES);
    request.ids.push(lineObjectId(line, "oid "));
  } else throw unexpectedLine(line);
}

/**
 * An object that is not here, or that no ref reaches, has nothing behind its id.
 * @param onPlanned - Called once it is known which objects no ref reaches.
 */
export async function* listObjectInfo(
  source: UploadPackSource,
  { size, ids }: ObjectInfoRequest,
  onPlanned: () => void,
): AsyncGenerator<Uint8Array, void> {
  if (ids.length > 0) {
    const objects = await source.openObjects();
    const present = await findPresent(objects, ids);
    const hidden = source.mayHoldUnreachable
      ? await findUnreachable(objects, await source.readRefs(), present)
      : new Set<ObjectId>();
    onPlanned();
    if (size) yield encodePktLine("size");
    for (const id of ids) {
      if (objects.slices.isDue(1)) await objects.slices.pause();
      const objectNumber = hidden.has(id) ? -1 : objects.findId(id);
      if (objectNumber < 0) yield encodePktLine(`${id} `);
      else yield encodePktLine(size ? `${id} ${await objects.readSize(objectNumber)}` : id);
    }
  }
  yield FLUSH_PKT;
}
