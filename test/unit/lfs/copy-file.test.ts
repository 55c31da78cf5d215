/** Storages that break off, drip, or ask for a pause: few requests, and no file is taken for another one because of that. */
import { createHash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { UpstreamError } from "../../../lib/errors.ts";
import { copyLfsFile } from "../../../lib/lfs/copy-file.ts";
import type { LfsPrimary } from "../../../lib/lfs/ports.ts";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const CONTENT = randomBytes(300_000);
const OID = createHash("sha256").update(CONTENT).digest("hex");
const ENTRY = {
  oid: OID,
  size: CONTENT.length,
  actions: { download: { href: "https://files.example.com/a" } },
};

interface Answer {
  readonly endBytes?: number;
  readonly error?: Error;
  /** It sends the file from its start. */
  readonly isWhole?: boolean;
}

function storageOf(answer: (offsetBytes: number, request: number) => Answer) {
  const offsets: number[] = [];
  let batches = 0;
  const primary: LfsPrimary = {
    ask: async () => {
      batches += 1;
      return new Map([[OID, ENTRY]]);
    },
    open: async (_action, offsetBytes) => {
      offsets.push(offsetBytes);
      const { endBytes, error, isWhole = false } = answer(offsetBytes, offsets.length);
      if (endBytes === undefined && error !== undefined) throw error;
      const startBytes = isWhole ? 0 : offsetBytes;
      return { startBytes, body: bodyOf(CONTENT.subarray(startBytes, endBytes), error) };
    },
  };
  const store = new MemoryBlobStore();
  const copy = (entry = ENTRY) =>
    copyLfsFile(entry, CONTENT.length, { store, primary, signal: new AbortController().signal });
  return { offsets, store, copy, batches: () => batches };
}

async function* bodyOf(bytes: Uint8Array, error?: Error): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
  if (error !== undefined) throw error;
}

function refusal(status: number, retryAfterSeconds?: number): UpstreamError {
  const details = { retryable: true, status };
  return new UpstreamError(
    "refused",
    retryAfterSeconds === undefined ? details : { ...details, retryAfterSeconds },
  );
}

test("a body that ends early without an error is continued where it ended", async () => {
  const { offsets, store, copy } = storageOf((_offset, request) =>
    request === 1 ? { endBytes: 100_000 } : {},
  );
  expect(await copy()).toBe(CONTENT.length);
  expect(offsets).toEqual([0, 100_000]);
  expect(Buffer.from((await store.read(lfsFileKey(OID))).bytes).equals(CONTENT)).toBe(true);
});

test("a file that is shorter than was announced is the file if its hash is right, with ranges or without", async () => {
  const longer = { ...ENTRY, size: CONTENT.length + 5 };
  const ranges = storageOf((offset) => (offset >= CONTENT.length ? { error: refusal(416) } : {}));
  expect(await ranges.copy(longer)).toBe(CONTENT.length);
  const whole = storageOf(() => ({ isWhole: true }));
  expect(await whole.copy(longer)).toBe(CONTENT.length);
});

test("a storage that cuts after each byte gets few requests", async () => {
  const { offsets, copy } = storageOf((offset) => ({ endBytes: offset + 1, error: new Error("cut") }));
  await expect(copy()).rejects.toThrow("broke");
  expect(offsets).toEqual([0, 1, 2, 3, 4]);
});

test("a short Retry-After is waited for, a long one ends the try with that time", async () => {
  const short = storageOf((_offset, request) => (request === 1 ? { error: refusal(429, 1) } : {}));
  const startedAtMs = performance.now();
  await short.copy();
  expect(performance.now() - startedAtMs).toBeGreaterThan(950);
  const long = storageOf(() => ({ error: refusal(503, 60) }));
  await expect(long.copy()).rejects.toMatchObject({ retryAfterSeconds: 60 });
  expect(long.offsets).toEqual([0]);
});

test("a new link that is refused as well is not renewed again", async () => {
  const { offsets, copy, batches } = storageOf(() => ({ error: refusal(404) }));
  await expect(copy()).rejects.toMatchObject({ context: { status: 404 } });
  expect([offsets.length, batches()]).toEqual([2, 1]);
});
