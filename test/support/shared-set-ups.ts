/**
 * Set-ups that test files share. Each registers the hooks that start it, reset it and close it; what it returns is filled before the
 * first test.
 */
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { type GuardedMirror, startGuardedMirror } from "./guarded-mirror.ts";
import { type LfsRig, startLfsRig } from "./lfs/lfs-rig.ts";
import { type Primary, startPrimary } from "./primary.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";
import { type SyncRig, syncRig } from "./sync-rig.ts";

interface SyncSetUp extends NonNullable<Parameters<typeof startPrimary>[0]> {
  /** By default one in memory. */
  readonly storeFor?: (primary: Primary) => BlobStore;
}

/** A primary and syncs of it into a store: new ones for each test. */
export function useSyncRig({ storeFor = () => new MemoryBlobStore(), ...options }: SyncSetUp = {}) {
  const primary = {} as Primary;
  const rig = {} as SyncRig;
  beforeEach(async () => {
    Object.assign(primary, await startPrimary(options));
    Object.assign(rig, syncRig(primary, storeFor(primary)));
  });
  afterEach(async () => {
    await rig.close();
    await primary.close();
  });
  return { primary, rig };
}

/** A primary, new for each test, and any number of syncs of it, as of so many processes. */
export function useSyncRigs(): { primary: Primary; rigOn(store: BlobStore): SyncRig } {
  const primary = {} as Primary;
  const rigs: SyncRig[] = [];
  beforeEach(async () => void Object.assign(primary, await startPrimary()));
  afterEach(async () => {
    await Promise.all(rigs.splice(0).map((rig) => rig.close()));
    await primary.close();
  });
  return {
    primary,
    rigOn(store) {
      const rig = syncRig(primary, store);
      rigs.push(rig);
      return rig;
    },
  };
}

/** One mirror for all tests of a file, as new for each. */
export function useGuardedMirror(): GuardedMirror {
  const mirror = {} as GuardedMirror;
  beforeAll(async () => void Object.assign(mirror, await startGuardedMirror()));
  beforeEach(() => mirror.reset());
  afterAll(() => mirror.close());
  return mirror;
}

/** A mirror with LFS files for all tests of a file, as after a restart for each. @param fill - Adds the files, before they are copied. */
export function useLfsRig(fill: (rig: LfsRig) => Promise<void>): LfsRig {
  const rig = {} as LfsRig;
  beforeAll(async () => {
    Object.assign(rig, await startLfsRig());
    await fill(rig);
    await rig.copier.run();
  });
  beforeEach(() => {
    rig.primary.fake.lfs.reset();
    rig.store.reset();
    rig.queued.length = 0;
    rig.restart();
  });
  afterAll(() => rig.close());
  return rig;
}
