/** SHA-256 as @smithy/signature-v4 asks for it. */
import { createHash, createHmac } from "node:crypto";

type HashInput = string | ArrayBuffer | ArrayBufferView;

/** A hash, keyed if there is a secret. */
export class NodeSha256 {
  readonly #secret: HashInput | undefined;
  #hash = createHash("sha256");
  #hmac: ReturnType<typeof createHmac> | undefined;

  constructor(secret?: HashInput) {
    this.#secret = secret;
    this.reset();
  }

  update(chunk: HashInput): void {
    (this.#hmac ?? this.#hash).update(toBytes(chunk));
  }

  async digest(): Promise<Uint8Array> {
    return (this.#hmac ?? this.#hash).digest();
  }

  reset(): void {
    this.#hash = createHash("sha256");
    this.#hmac = this.#secret === undefined ? undefined : createHmac("sha256", toBytes(this.#secret));
  }
}

function toBytes(input: HashInput): Uint8Array {
  if (typeof input === "string") return Buffer.from(input);
  return ArrayBuffer.isView(input)
    ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
    : new Uint8Array(input);
}
