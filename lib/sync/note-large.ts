/**
 * For repositories of which nobody has said how large they are: once a first fetch has brought much, that is noted. If it is
 * cut, the next sync goes in slices.
 */
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type ImportNotes, writeImportNotes } from "../repo/import-notes.ts";
import { type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import type { BlobStore } from "../store/blob-store.ts";

export interface LargeNote {
  readonly onBytes: (receivedBytes: number) => void;
  /** @returns Whether it was noted. */
  settled(): Promise<boolean>;
}

export function noteIfLarge(
  store: BlobStore,
  uuid: RepositoryUuid,
  { largeBytes, log, now }: { readonly largeBytes: number; readonly log: Logger; readonly now: () => Date },
): LargeNote {
  let noting: Promise<boolean> | undefined;
  return {
    onBytes: (receivedBytes) => {
      if (receivedBytes >= largeBytes) noting ??= note(store, uuid, now()).catch(onFailure);
    },
    settled: async () => noting ?? false,
  };

  /** Only the next try is the worse for it. */
  function onFailure(error: unknown): boolean {
    log.warn("import:not-noted", { uuid, ...errorFields(error) });
    return true;
  }
}

async function note(store: BlobStore, uuid: RepositoryUuid, at: Date): Promise<true> {
  const notes: ImportNotes = {
    formatVersion: 1,
    doneSteps: 0,
    packs: [],
    sliceBytes: 0,
    wholeSlices: 0,
    bytesPerStep: 1,
    changedAt: at.toISOString(),
  };
  await writeImportNotes(store, repositoryKeys(uuid), notes, "absent");
  return true;
}
