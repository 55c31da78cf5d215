/** A small document to try stored documents on, and what its blob holds. */
import * as z from "zod/mini";
import { type DocumentForm, StoredDocument } from "../../lib/repo/stored-document.ts";
import { CountingBlobStore } from "./store/counting-blob-store.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

export const DOCUMENT_KEY = "some/document.json";

export interface Team {
  readonly name: string;
  readonly leader?: { readonly id: string; readonly age: number } | undefined;
  readonly members: readonly { readonly id: string; readonly age: number }[];
  readonly notes?: readonly { readonly text: string }[] | undefined;
}

const person = z.object({ id: z.string(), age: z.number() });
const FORM: DocumentForm<Team> = {
  schema: z.object({
    name: z.string(),
    leader: z.optional(person),
    members: z.array(person),
    notes: z.optional(z.array(z.object({ text: z.string() }))),
  }),
  whenDamaged: "throw",
};

export function openTeam(changes: Partial<DocumentForm<Team>> = {}, blobs = new MemoryBlobStore()) {
  const store = new CountingBlobStore(blobs);
  const document = new StoredDocument<Team>(store, DOCUMENT_KEY, { ...FORM, ...changes });
  return {
    store,
    document,
    put: (json: unknown) => blobs.write(DOCUMENT_KEY, new TextEncoder().encode(JSON.stringify(json))),
    putText: (text: string | Uint8Array) =>
      blobs.write(DOCUMENT_KEY, typeof text === "string" ? new TextEncoder().encode(text) : text),
    json: async (): Promise<unknown> => JSON.parse(await blobText(blobs)),
    text: () => blobText(blobs),
  };
}

async function blobText(blobs: MemoryBlobStore): Promise<string> {
  return new TextDecoder().decode((await blobs.read(DOCUMENT_KEY)).bytes);
}

export const TEAM: Team = { name: "one", members: [{ id: "a", age: 1 }] };
