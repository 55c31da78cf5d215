import type { FileHandle } from "node:fs/promises";
import { expect, test } from "vitest";
import { writeAt } from "../../../lib/indexer/write-at.ts";

/** A file that takes at most so many bytes at a time. */
function slowFile(mostBytes: number, content: number[]): FileHandle {
  const write = async (bytes: Uint8Array, start: number, lengthBytes: number, offsetBytes: number) => {
    const bytesWritten = Math.min(mostBytes, lengthBytes);
    for (let i = 0; i < bytesWritten; i++) content[offsetBytes + i] = bytes[start + i] ?? 0;
    return { bytesWritten, buffer: bytes };
  };
  return { write } as unknown as FileHandle;
}

test.each([1, 2, 3, 7, 100])("a file that takes %d bytes at a time gets them all", async (mostBytes) => {
  const content = [0, 0];
  await writeAt(slowFile(mostBytes, content), Uint8Array.of(1, 2, 3, 4, 5, 6, 7), 2);
  expect(content).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 7]);
});
