/** A streaming write into a file of its own, which is published when it is complete. */
import type { FileHandle } from "node:fs/promises";
import { withCleanUp } from "../errors.ts";
import { type BlobUpload, type BlobVersion, MAX_UPLOAD_HEAD_BYTES } from "./blob-store.ts";

export interface FileUploadEnd {
  /** Called with the file whole and flushed, and still open. */
  publish(): Promise<BlobVersion>;
  /** Removes the file, if it is still in its first place. */
  discard(): Promise<void>;
}

export class FileUpload implements BlobUpload {
  readonly #file: FileHandle;
  readonly #end: FileUploadEnd;
  #sizeBytes = 0;
  #isOpen = true;

  constructor(file: FileHandle, end: FileUploadEnd) {
    this.#file = file;
    this.#end = end;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    await writeFully(this.#file, bytes, this.#sizeBytes);
    this.#sizeBytes += bytes.length;
  }

  async complete({ head = new Uint8Array() }: { readonly head?: Uint8Array } = {}): Promise<BlobVersion> {
    this.#assertOpen();
    const publish = async () => {
      if (head.length > MAX_UPLOAD_HEAD_BYTES || head.length > this.#sizeBytes) {
        throw new RangeError(`head of ${head.length} bytes is too long for a blob of ${this.#sizeBytes}`);
      }
      await writeFully(this.#file, head, 0);
      await this.#file.sync();
      return this.#end.publish();
    };
    return withCleanUp(publish, () => this.abort());
  }

  async abort(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await withCleanUp(
      () => this.#file.close(),
      () => this.#end.discard(),
    );
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new Error("upload is closed");
  }
}

/** One write may take less than it is given. */
export async function writeFully(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  let doneBytes = 0;
  while (doneBytes < bytes.length) {
    const { bytesWritten } = await file.write(
      bytes,
      doneBytes,
      bytes.length - doneBytes,
      offsetBytes + doneBytes,
    );
    doneBytes += bytesWritten;
  }
}
