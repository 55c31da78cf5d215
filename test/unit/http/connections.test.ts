import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { ConnectionTracker } from "../../../lib/http/connections.ts";

function connections(maxCount: number) {
  const tracker = new ConnectionTracker(maxCount, () => false);
  /** Addresses of idle connections that were closed. */
  const ended: string[] = [];
  /** @returns Whether it was taken. */
  const open = (remoteAddress: string, isBusy: boolean): boolean => {
    let isTaken = true;
    const socket = Object.assign(new EventEmitter(), {
      remoteAddress,
      destroyed: false,
      destroy: () => {
        ended.push(remoteAddress);
        socket.emit("close");
      },
      end: () => {
        isTaken = false;
      },
    }) as unknown as Socket;
    tracker.opened(socket);
    if (isTaken && isBusy) tracker.requestStarted(socket);
    return isTaken;
  };
  const countTaken = (address: string, isBusy: boolean) =>
    Array.from({ length: 50 }, () => open(address, isBusy)).filter(Boolean).length;
  return { open, countTaken, ended };
}

test("addresses whose connections all serve requests leave some to others", () => {
  const { open, countTaken } = connections(60);
  const taken = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((address) => countTaken(address, true));
  expect(taken).toEqual([30, 15, 8]);
  for (let number = 0; number < 7; number++) expect(open(`198.51.100.${number}`, true)).toBe(true);
});

test("idle connections of others do not count", () => {
  const { countTaken } = connections(60);
  expect(countTaken("192.0.2.1", false)).toBe(30);
  expect(countTaken("192.0.2.2", false)).toBe(30);
  expect(countTaken("192.0.2.3", true)).toBe(30);
});

test("in a full server the address with most idle connections gives one up, not the one whose is the oldest", () => {
  const { open, countTaken, ended } = connections(60);
  expect(open("203.0.113.1", false)).toBe(true);
  expect(countTaken("192.0.2.1", false)).toBe(30);
  expect(countTaken("192.0.2.2", false)).toBe(30);
  expect(ended).toEqual(["192.0.2.1"]);
  for (let number = 0; number < 55; number++) expect(open(`198.51.100.${number}`, true)).toBe(true);
  expect(ended).not.toContain("203.0.113.1");
});
