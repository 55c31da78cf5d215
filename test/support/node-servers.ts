/** HTTP servers of a test, and raw connections to them. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach } from "vitest";
import type { HttpHandler } from "../../lib/http/message.ts";
import { type NodeServer, type NodeServerOptions, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";

export const CHUNK = new Uint8Array(64 * 1024).fill(1);
const running: NodeServer[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

/** Closed after the test. */
export async function serve(
  handler: HttpHandler,
  options: Partial<NodeServerOptions> = {},
): Promise<NodeServer> {
  const server = await startNodeServer(handler, { log: SILENT_LOGGER, closeGraceMs: 100, ...options });
  running.push(server);
  return server;
}

/** Endless chunks, counted; `ended` resolves when the consumer lets go of them. */
export function endlessBody() {
  const state = { pulledChunks: 0, ended: Promise.withResolvers<void>() };
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        state.pulledChunks += 1;
        yield CHUNK;
      }
    } finally {
      state.ended.resolve();
    }
  }
  return { state, body: chunks() };
}

export async function openSocket(server: NodeServer): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}
