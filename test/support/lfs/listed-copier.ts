/** A repository that its workspace's index lists as mirrored, with a copier of its LFS files into a store whose faults and clock a test sets. */
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../primary.ts";
import type { BlobFaults } from "../store/blob-faults.ts";
import { MemoryBlobStore } from "../store/memory-blob-store.ts";
import { RIG_UUID } from "../sync-rig.ts";
import { type CopierRig, copierRig } from "./copier-rig.ts";

export interface ListedCopier {
  readonly primary: Primary;
  readonly faults: { -readonly [Key in keyof BlobFaults]: BlobFaults[Key] };
  readonly store: MemoryBlobStore;
  readonly rig: CopierRig;
  /** What the copier and the sweeps take for the time. */
  nowMs: number;
  queueCopy(oid: string, sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export async function startListedCopier(): Promise<ListedCopier> {
  const primary = await startPrimary({ make: makeEmptyRepository });
  const faults: ListedCopier["faults"] = {};
  const store = new MemoryBlobStore({ faults });
  const copier: ListedCopier = {
    primary,
    faults,
    store,
    rig: copierRig(primary, store, { now: () => copier.nowMs }),
    nowMs: Date.now(),
    async queueCopy(oid, sizeBytes) {
      const queue = {
        send: async (messages: readonly QueueMessage[]) => void copier.rig.messages.push(...messages),
      };
      await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, [{ oid, sizeBytes }]);
    },
    async close() {
      await copier.rig.sync.close();
      await primary.close();
    },
  };
  const seenAt = new Date(copier.nowMs).toISOString();
  const entry = { slug: "sample", isPrivate: false, updatedOn: "", seenAt, held: "mirrored" as const };
  await workspaceIndex(store, "acme").change(() => ({ repositories: { [RIG_UUID]: entry } }));
  return copier;
}
