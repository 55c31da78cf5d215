import { expect, test } from "vitest";
import { LimitExceededError } from "../../../lib/errors.ts";
import { type MultipartTarget, MultipartUpload } from "../../../lib/store/multipart-upload.ts";

const LIMITS = { partBytes: 10, maxPartsInFlight: 2, maxParts: 6 };

/** Records its calls; parts wait until they are let through. */
class RecordingTarget implements MultipartTarget {
  readonly calls: string[] = [];
  readonly parts = new Map<number, Uint8Array>();
  waiting: (() => void)[] = [];
  mostInFlight = 0;
  holdParts = false;
  failPart = 0;
  failFinish = false;

  async writeWhole(bytes: Uint8Array): Promise<string> {
    this.calls.push(`whole ${bytes.length}`);
    return "whole";
  }
  async begin(): Promise<string> {
    this.calls.push("begin");
    return "upload";
  }
  async writePart(_uploadId: string, partNumber: number, bytes: Uint8Array) {
    this.calls.push(`part ${partNumber}`);
    if (this.holdParts) {
      const passing = new Promise<void>((resolve) => this.waiting.push(resolve));
      this.mostInFlight = Math.max(this.mostInFlight, this.waiting.length);
      await passing;
    }
    if (partNumber === this.failPart) throw new Error(`part ${partNumber} failed`);
    this.parts.set(partNumber, bytes.slice());
    return { partNumber, version: `v${partNumber}` };
  }
  async finish(_uploadId: string, parts: readonly { partNumber: number }[]): Promise<string> {
    this.calls.push(`finish ${parts.map(({ partNumber }) => partNumber)}`);
    if (this.failFinish) throw new Error("finish failed");
    return "finished";
  }
  async discard(): Promise<void> {
    this.calls.push("discard");
  }
}

test("what fits in one part is one plain write", async () => {
  const target = new RecordingTarget();
  const upload = new MultipartUpload(target, LIMITS);
  await upload.write(new Uint8Array(4));
  await upload.write(new Uint8Array(6));
  expect(await upload.complete()).toBe("whole");
  expect(target.calls).toEqual(["whole 10"]);
});

test("the first part goes last, with the head, and parts are finished in order", async () => {
  const target = new RecordingTarget();
  const upload = new MultipartUpload(target, LIMITS);
  await upload.write(new Uint8Array(25).fill(1));
  expect(await upload.complete({ head: new Uint8Array([7, 8]) })).toBe("finished");
  expect(target.calls).toEqual(["begin", "part 2", "part 3", "part 1", "finish 1,2,3"]);
  expect([...(target.parts.get(1) ?? [])]).toEqual([7, 8, 1, 1, 1, 1, 1, 1, 1, 1]);
  expect(target.parts.get(3)?.length).toBe(5);
});

test("a write waits while as many parts are on their way as may be", async () => {
  const target = new RecordingTarget();
  target.holdParts = true;
  const upload = new MultipartUpload(target, LIMITS);
  let isDone = false;
  const writing = upload.write(new Uint8Array(55)).then(() => {
    isDone = true;
  });
  await turns();
  expect(isDone).toBe(false);
  expect(target.waiting.length).toBe(2);
  const letThrough = async () => {
    for (await turns(); target.waiting.length > 0; await turns()) target.waiting.shift()?.();
  };
  await letThrough();
  await writing;
  const completing = upload.complete();
  await letThrough();
  expect(await completing).toBe("finished");
  expect(target.mostInFlight).toBe(2);
});

test.each([2, 3, 6])(
  "when part %d fails, completing fails with its error, and the parts are freed",
  async (failPart) => {
    const target = new RecordingTarget();
    target.failPart = failPart;
    const upload = new MultipartUpload(target, LIMITS);
    const writeAll = async () => {
      for (let written = 0; written < 56; written += 8) await upload.write(new Uint8Array(8));
      return upload.complete();
    };
    await expect(writeAll()).rejects.toThrow(`part ${failPart} failed`);
    await upload.abort();
    expect(target.calls.filter((call) => call === "discard")).toHaveLength(1);
    expect(target.calls.some((call) => call.startsWith("finish"))).toBe(false);
  },
);

test("a failed finish frees the parts", async () => {
  const target = new RecordingTarget();
  target.failFinish = true;
  const upload = new MultipartUpload(target, LIMITS);
  await upload.write(new Uint8Array(30));
  await expect(upload.complete()).rejects.toThrow("finish failed");
  expect(target.calls.at(-1)).toBe("discard");
});

test("more parts than the store allows is a LimitExceededError", async () => {
  const upload = new MultipartUpload(new RecordingTarget(), LIMITS);
  await upload.write(new Uint8Array(60));
  await expect(upload.write(new Uint8Array(1))).rejects.toThrow(LimitExceededError);
});

test("aborting before anything was sent asks nothing of the store", async () => {
  const target = new RecordingTarget();
  const upload = new MultipartUpload(target, LIMITS);
  await upload.write(new Uint8Array(10));
  await upload.abort();
  expect(target.calls).toEqual([]);
});

/** Long enough for everything that waits for nothing outside. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
