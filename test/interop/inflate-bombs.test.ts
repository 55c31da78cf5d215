import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const PROCESS = fileURLToPath(new URL("./inflate-bomb-process.ts", import.meta.url));
const GIB = 2 ** 30;
/** Each processor has a thread with buffers of its own. */
const MAX_MEMORY_MIB = 200 + 50 * availableParallelism();

interface BombOutcome {
  readonly code?: string;
  readonly message?: string;
  readonly objectCount?: number;
  readonly receivedBytes: number;
  readonly memoryMib: number;
}

async function receiveBomb(declaredBytes: number, realBytes: number): Promise<BombOutcome> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    PROCESS,
    String(declaredBytes),
    String(realBytes),
  ]);
  return JSON.parse(stdout) as BombOutcome;
}

describe("10 GiB of zeros in 10 MB", () => {
  test("that say so are refused without being inflated", async () => {
    const outcome = await receiveBomb(10 * GIB, 10 * GIB);
    expect(outcome.code).toBe("LIMIT_EXCEEDED");
    expect(outcome.message).toMatch(/object of more than \d+ bytes/);
    expect(outcome.memoryMib).toBeLessThan(MAX_MEMORY_MIB);
  });

  test.each([100, GIB / 16])("that claim to be %d bytes are given up there", async (declaredBytes) => {
    const outcome = await receiveBomb(declaredBytes, 10 * GIB);
    expect(outcome.code).toBe("CORRUPT_PACK");
    expect(outcome.message).toMatch(/past its declared size/);
    expect(outcome.memoryMib).toBeLessThan(MAX_MEMORY_MIB);
  });
});

test("1 GiB of zeros is a blob like any other, and takes no more memory", async () => {
  const outcome = await receiveBomb(GIB, GIB);
  expect(outcome).toMatchObject({ objectCount: 1 });
  expect(outcome.memoryMib).toBeLessThan(MAX_MEMORY_MIB);
});
