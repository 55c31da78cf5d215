/**
 * A process that writes to a folder store until it is killed or done, for fs-blob-store.test.ts.
 * `replace <folder> <key>`: over and over, whole writes and uploads, each one byte value throughout. `count <folder> <key> <times>`:
 * adds one, by compare-and-swap, that many times.
 */
import { VersionConflictError } from "../../../lib/errors.ts";
import { FsBlobStore } from "../../../lib/store/fs-blob-store.ts";

const BLOB_BYTES = 300_000;

const [mode, folder = "", key = "", times = "0"] = process.argv.slice(2);
const store = new FsBlobStore(folder);
if (mode === "replace") await replaceForEver();
else await countTo(Number(times));

async function replaceForEver(): Promise<void> {
  let { bytes, version } = await store.read(key);
  for (;;) {
    bytes = new Uint8Array(BLOB_BYTES).fill((bytes[0] ?? 0) + 1);
    const upload = await store.startUpload(key, { ifVersion: version });
    await upload.write(bytes.subarray(0, 100_000));
    await upload.write(bytes.subarray(100_000));
    version = await upload.complete();
    process.stdout.write(".");
  }
}

async function countTo(count: number): Promise<void> {
  for (let done = 0; done < count; ) {
    const { bytes, version } = await store.read(key);
    const next = String(Number(new TextDecoder().decode(bytes)) + 1);
    try {
      await store.write(key, new TextEncoder().encode(next), { ifVersion: version });
      done += 1;
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
    }
  }
}
