/** The head of a bundle: what it needs and what it brings, before its pack. Source: gitformat-bundle(5). */
import { bytesOfText } from "../byte-text.ts";
import type { ObjectId } from "../object-id.ts";

export interface BundleRef {
  readonly name: string;
  readonly id: ObjectId;
}

/** @param prerequisites - Commits that the reader has to have, with all that they reach. */
export function encodeBundleHeader(
  prerequisites: readonly ObjectId[],
  refs: readonly BundleRef[],
): Uint8Array {
  const lines = [
    "# v2 git bundle",
    ...prerequisites.map((id) => `-${id}`),
    ...refs.map(({ id, name }) => `${id} ${name}`),
  ];
  return bytesOfText(`${lines.join("\n")}\n\n`);
}
