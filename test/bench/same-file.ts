/** Whether two files hold the same bytes. */
import { open } from "node:fs/promises";

const PIECE_BYTES = 2 ** 20;

/** @throws {Error} They don't; the message says where. */
export async function assertSameFile(pathA: string, pathB: string): Promise<void> {
  await using a = await open(pathA);
  await using b = await open(pathB);
  const pieceA = Buffer.alloc(PIECE_BYTES);
  const pieceB = Buffer.alloc(PIECE_BYTES);
  for (let offsetBytes = 0; ; offsetBytes += PIECE_BYTES) {
    const { bytesRead: readA } = await a.read(pieceA, 0, PIECE_BYTES, offsetBytes);
    const { bytesRead: readB } = await b.read(pieceB, 0, PIECE_BYTES, offsetBytes);
    if (!pieceA.subarray(0, readA).equals(pieceB.subarray(0, readB))) {
      throw new Error(`${pathA} and ${pathB} differ within the MiB from byte ${offsetBytes}`);
    }
    if (readA < PIECE_BYTES) return;
  }
}
