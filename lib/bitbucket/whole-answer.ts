/**
 * Whether an answer about refs came whole. A list that was cut would look like one with fewer refs, and the others would be
 * deleted here; where a server ends its answers by closing the connection, HTTP does not tell a cut one.
 */
import { ProtocolError, UpstreamError } from "../errors.ts";
import { decodePktLine, pktMessage, pktText } from "../git/pktline.ts";

const SERVICE_LINE = "# service=git-upload-pack";
const KEPT_LINES = 64;

/**
 * @param kind - `advertisement`: of `GET info/refs`; `list`: of `ls-refs`.
 * @returns Its first lines; the rest is a list of refs in any case.
 * @throws {UpstreamError} It was cut, is not made of pkt-lines, or says an error.
 */
export function readWholeAnswer(bytes: Uint8Array, kind: "advertisement" | "list"): string[] {
  const lines: string[] = [];
  let flushCount = 0;
  let isAtFlush = false;
  for (let offsetBytes = 0; offsetBytes < bytes.length; ) {
    const line = decodeLine(bytes.subarray(offsetBytes));
    if (line.kind === "incomplete") throw cut();
    offsetBytes += line.bytesConsumed;
    isAtFlush = line.kind === "flush";
    if (isAtFlush) flushCount++;
    if (line.kind !== "data" || lines.length === KEPT_LINES) continue;
    const text = pktText(line.payload);
    if (text.startsWith("ERR ")) {
      throw new UpstreamError(`the primary refused: ${pktMessage(line.payload).slice("ERR ".length)}`, {
        retryable: true,
      });
    }
    lines.push(text);
  }
  // An advertisement ends with a flush after its line about the service, and with one of its own.
  const expectedCount = kind === "advertisement" && lines[0] === SERVICE_LINE ? 2 : 1;
  if (!isAtFlush || flushCount !== expectedCount) throw cut();
  return lines[0] === SERVICE_LINE ? lines.slice(1) : lines;
}

function decodeLine(bytes: Uint8Array): ReturnType<typeof decodePktLine> {
  try {
    return decodePktLine(bytes);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new UpstreamError("what the primary answered is not git's", { retryable: true, cause: error });
  }
}

function cut(): UpstreamError {
  return new UpstreamError("the primary's list of refs was cut", { retryable: true });
}
