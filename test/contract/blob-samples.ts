/** Bytes to write, and what to do with what comes back. */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { BlobStore } from "../../lib/store/blob-store.ts";

export const MEBIBYTE = 1024 * 1024;

/** A key in a folder of its own. */
export function newKey(name = "blob"): string {
  return `${randomUUID()}/${name}`;
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** Each byte depends on its place: no shift by a power of two goes unseen. */
export function pattern(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let position = 0; position < sizeBytes; position += 1) bytes[position] = patternByte(position);
  return bytes;
}

export function patternByte(position: number): number {
  return (position % 251) ^ (Math.floor(position / 65_521) & 0xff);
}

/** Like toEqual, and fast for large arrays. */
export function expectSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  expect(Buffer.compare(actual, expected)).toBe(0);
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(Buffer.concat(all));
}

export async function collectKeys(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
