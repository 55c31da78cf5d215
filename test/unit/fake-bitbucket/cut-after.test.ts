import { expect, test } from "vitest";
import { cutAfter } from "../../support/fake-bitbucket/git-backend.ts";

async function* chunksOfThree(): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < 9; start += 3) yield Uint8Array.of(start, start + 1, start + 2);
}

async function read(limitBytes: number | null): Promise<{ bytes: number[]; failed: boolean }> {
  const bytes: number[] = [];
  try {
    for await (const chunk of cutAfter(chunksOfThree(), limitBytes)) bytes.push(...chunk);
  } catch {
    return { bytes, failed: true };
  }
  return { bytes, failed: false };
}

test.each([0, 1, 3, 4, 8])("after %i bytes it fails, having given just these", async (limitBytes) => {
  expect(await read(limitBytes)).toEqual({
    bytes: Array.from({ length: limitBytes }, (_, i) => i),
    failed: true,
  });
});

test.each([9, 10, null])("with the limit %s a body of 9 bytes passes whole", async (limitBytes) => {
  expect(await read(limitBytes)).toEqual({ bytes: [0, 1, 2, 3, 4, 5, 6, 7, 8], failed: false });
});
