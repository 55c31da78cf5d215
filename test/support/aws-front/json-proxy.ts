/** Sees the requests to one of AWS's JSON services before a test's server of it does. */
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface JsonProxy {
  readonly url: string;
  close(): Promise<void>;
}

/** @param allows - Refused calls are answered as AWS answers them: 400 with `AccessDeniedException`. */
export async function startJsonProxy(
  target: string,
  allows: (incoming: IncomingMessage, body: unknown) => boolean,
): Promise<JsonProxy> {
  const server = createServer((incoming, outgoing) => {
    buffer(incoming)
      .then((body) => {
        if (!allows(incoming, JSON.parse(body.toString()))) {
          outgoing.writeHead(400, { "content-type": "application/x-amz-json-1.1" });
          outgoing.end(JSON.stringify({ __type: "AccessDeniedException", message: "not authorized" }));
          return;
        }
        const { method, headers, url = "/" } = incoming;
        const onward = request(new URL(url, target), { method, headers }, (response) => {
          outgoing.writeHead(response.statusCode ?? 502, response.headers);
          response.pipe(outgoing);
        });
        onward.once("error", () => outgoing.destroy()).end(body);
      })
      .catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
