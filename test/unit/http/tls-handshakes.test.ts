import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { TlsHandshakes } from "../../../lib/http/tls-handshakes.ts";

function connections() {
  const ended: string[] = [];
  let port = 1_000;
  const open = (remoteAddress: string) => {
    const remotePort = port++;
    const socket = Object.assign(new EventEmitter(), {
      ...{ remoteAddress, remotePort, localAddress: "192.0.2.1" },
      destroy: () => {
        ended.push(`${remoteAddress} ${remotePort}`);
        socket.emit("close");
      },
    });
    return socket as unknown as Socket;
  };
  return { ended, open };
}

test("a handshake too many ends the oldest of the address with the most", () => {
  const { ended, open } = connections();
  const handshakes = new TlsHandshakes(4);
  for (const address of ["203.0.113.7", "198.51.100.9", "198.51.100.9", "198.51.100.9"])
    handshakes.begun(open(address));
  expect(ended).toEqual([]);
  handshakes.begun(open("203.0.113.8"));
  handshakes.begun(open("198.51.100.9"));
  expect(ended).toEqual(["198.51.100.9 1001", "198.51.100.9 1002"]);
});

test("addresses of one IPv6 network count together", () => {
  const { ended, open } = connections();
  const handshakes = new TlsHandshakes(3);
  for (const address of ["2001:db8:1::1", "2001:db8:9::1", "2001:db8:9::2", "2001:db8:2::1"])
    handshakes.begun(open(address));
  expect(ended).toEqual(["2001:db8:9::1 1001"]);
});

test("handshakes that are done, or whose connections have closed, do not count", () => {
  const { ended, open } = connections();
  const handshakes = new TlsHandshakes(2);
  for (let count = 0; count < 10; count++) {
    const socket = open("198.51.100.9");
    handshakes.begun(socket);
    if (count % 2 === 0) handshakes.done(Object.assign(Object.create(socket), {}));
    else socket.emit("close");
    // Its end is no other handshake's.
    socket.emit("close");
  }
  expect(ended).toEqual([]);
  for (let count = 0; count < 3; count++) handshakes.begun(open("203.0.113.7"));
  expect(ended).toEqual(["203.0.113.7 1010"]);
});
