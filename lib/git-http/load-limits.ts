/**
 * What requests may use of the process: numbers. Each kind of use has a limit for a caller, for a token and for an address block. Some
 * limits are also a share of what is free: they fall as others use more, which leaves some to a new caller.
 */
import type { AdmissionLimits } from "../http/admission.ts";
import type { BodyLimits } from "../http/body-admission.ts";
import type { BodyTime } from "../http/body-within.ts";
import type { RunningLimits } from "../http/running-tasks.ts";
import type { GroupLimits } from "../request-caller.ts";

const MIB = 1024 * 1024;

/** Of `git-upload-pack`. A body is read in some ms. */
export const READING: BodyLimits & GroupLimits = {
  maxRunning: 128,
  maxRunningOfCaller: 16,
  shareOfFree: 1 / 4,
  maxWaiting: 2_000,
  maxWaitingOfCaller: 500,
  maxWaitMs: 30_000,
  slack: { startMs: 3_000, maxMs: 10_000 },
  ofToken: { maxRunning: 32, shareOfFree: 1 / 2 },
  ofBlock: { maxRunning: 64, shareOfFree: 1 },
};

/** Batches of git-lfs, of at most 512 KiB each. */
export const READING_LFS: BodyLimits & GroupLimits = {
  ...READING,
  maxRunning: 64,
  shareOfFree: 1 / 2,
  maxWaiting: 1_000,
  maxWaitingOfCaller: 200,
  maxWaitMs: 20_000,
  ofBlock: { maxRunning: 32, shareOfFree: 1 },
};

/** git compresses bodies. 100,000 wants take 2.5 MB then, and a slow uplink sends 50 kB/s. */
export const BODY_TIME: BodyTime = { maxMs: 60_000, maxIdleMs: 10_000 };

/** Pushes that are passed through. Those that wait have sent no more than a socket holds. */
export const RELAYING: BodyLimits & GroupLimits = {
  maxRunning: 64,
  maxRunningOfCaller: 8,
  shareOfFree: 1 / 4,
  maxWaiting: 500,
  maxWaitingOfCaller: 100,
  maxWaitMs: 60_000,
  // git may pack for a while before it sends more.
  slack: { startMs: 60_000, maxMs: 60_000 },
  ofToken: { maxRunning: 16, shareOfFree: 1 / 2 },
  ofBlock: { maxRunning: 32, shareOfFree: 1 },
};

/** Requests that wait for a ref or a commit, up to four minutes each. Further ones are refused at once, as each holds a connection. */
export const WAITING_FOR_REFS: RunningLimits & GroupLimits = {
  maxRunning: 800,
  maxRunningOfCaller: 400,
  shareOfFree: 1,
  ofToken: { maxRunning: 400, shareOfFree: 1 },
  ofBlock: { maxRunning: 400, shareOfFree: 1 },
};

/** Longer than a request waits for a sync. */
const PLAN_WAITING = { maxWaiting: 2_000, maxWaitingOfCaller: 500, maxWaitMs: 60_000 };

/** Turns. The event loop's time is shared among callers besides, see `workOwner`. */
export function planningLimits(maxPlans: number, maxPlansOfCaller: number): AdmissionLimits & GroupLimits {
  return {
    ...PLAN_WAITING,
    maxRunning: maxPlans,
    maxRunningOfCaller: maxPlansOfCaller,
    reserve: { weight: maxPlans / 4, maxWeight: 1 },
    ofToken: { maxRunning: 2 * maxPlansOfCaller },
    ofBlock: { maxRunning: maxPlans, shareOfFree: 2, shareOfFreeWithReserve: 3 },
  };
}

/** Of plans and of answers that are being read. A plan of 400,000 objects takes 7 MB, a small one next to nothing. */
export const MEMORY_BYTES = 320 * MIB;

export function memoryLimits(memoryBytes: number): AdmissionLimits & GroupLimits {
  return {
    ...PLAN_WAITING,
    maxRunning: memoryBytes,
    maxRunningOfCaller: memoryBytes / 2,
    shareOfFree: 1 / 4,
    // For the first request of a caller: a clone of 400,000 objects that names 18,000 refs takes 14 MiB. For more: small and medium ones.
    reserve: { weight: memoryBytes / 6, maxWeight: 14 * MIB, maxWeightOfMore: 8 * MIB },
    ofToken: { maxRunning: memoryBytes / 2, shareOfFree: 1 / 4 },
    ofBlock: { maxRunning: memoryBytes, shareOfFree: 2, shareOfFreeWithReserve: 3 },
  };
}

/** What one request may keep of its body: 200,000 object ids. */
export const MAX_KEPT_BYTES = 4 * MIB;
export const MAX_ALL_KEPT_BYTES = 64 * MIB;
export const CALLER_KEPT_SHARE = 1 / 4;
/** Does not count, so that ordinary requests are served whatever others send. */
export const FREE_BYTES = 64 * 1024;
