/** Places for pages that read the store: so many at a time, shared out by caller, by token and by address. */
import { Admission } from "../http/admission.ts";
import type { HttpRequest } from "../http/message.ts";
import { groupsOf, requestCallers } from "../request-caller.ts";

const LIMITS = {
  maxRunning: 32,
  maxRunningOfCaller: 8,
  shareOfFree: 1 / 2,
  maxWaiting: 500,
  maxWaitingOfCaller: 100,
  maxWaitMs: 10_000,
};
const GROUPS = {
  ofToken: { maxRunning: 16, shareOfFree: 1 / 2 },
  ofBlock: { maxRunning: 16, shareOfFree: 1 },
};

/** Runs `read` in a place. @throws {OverloadedError} @throws The signal's reason. */
export type InPlace = <Result>(
  request: HttpRequest,
  authorization: string | undefined,
  read: () => Promise<Result>,
) => Promise<Result>;

/** Only for requests whose access is decided: one that waits for Bitbucket would keep a place from others for many seconds. */
export function pagePlaces(): InPlace {
  const admission = new Admission(LIMITS);
  const callerOf = requestCallers();
  return async ({ remoteAddress, signal }, authorization, read) => {
    const headers = authorization === undefined ? {} : { authorization };
    const caller = callerOf({ headers, ...(remoteAddress !== undefined && { remoteAddress }) });
    const task = { weight: 1, groups: groupsOf(caller, GROUPS) };
    const place = await admission.enterWith(caller.name, signal, task);
    try {
      return await read();
    } finally {
      place.end();
    }
  };
}
