/**
 * An HTTP server in front of another one, whose answers it cuts, damages or replaces as a test wants. As a proxy of a client, which names
 * whole addresses, it leads all of them there.
 */
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Fault =
  /** The connection ends after so many bytes of the body. */
  | { readonly cutAfterBytes: number }
  /** One byte of the body is another one, counted from its end where negative. */
  | { readonly damagedByte: number }
  | { readonly status: number };

export interface FaultyProxy {
  readonly url: string;
  /** Method, path and query of each request since the last call. */
  takeRequests(): string[];
  /** Asked for each request; none unless set. */
  fault: (line: string, request: IncomingMessage) => Fault | undefined;
  close(): Promise<void>;
}

export async function startFaultyProxy(targetUrl: string): Promise<FaultyProxy> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const url = request.url?.replace(/^http:\/\/[^/]*/, "") ?? "/";
    const line = `${request.method} ${url}`;
    requests.push(line);
    const fault = proxy.fault(line, request);
    if (fault !== undefined && "status" in fault) return response.writeHead(fault.status).end();
    const { method = "GET", headers } = request;
    const options = { method, headers, agent: false } as const;
    const asked = httpRequest(`${targetUrl}${url}`, options, (answer) => {
      pass(answer, response, fault).catch(() => response.destroy());
    });
    asked.on("error", () => response.destroy());
    return request.pipe(asked);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: FaultyProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    takeRequests: () => requests.splice(0),
    fault: () => undefined,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return proxy;
}

async function pass(
  answer: IncomingMessage,
  response: ServerResponse,
  fault: Exclude<Fault, { readonly status: number }> | undefined,
): Promise<void> {
  const body = Buffer.concat(await answer.toArray());
  response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
  if (fault === undefined) return void response.end(body);
  if ("damagedByte" in fault) {
    const at = fault.damagedByte < 0 ? body.length + fault.damagedByte : fault.damagedByte;
    body[at] = (body[at] ?? 0) ^ 1;
    return void response.end(body);
  }
  response.write(body.subarray(0, fault.cutAfterBytes), () => response.destroy());
}
