/**
 * An HttpHandler under node:http. Bodies are pulled both ways, so neither a fast caller nor a slow one costs memory.
 * Responses are never compressed: packs are already.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { TLSSocket } from "node:tls";
import { type AddressRange, addressMatcher } from "../address-ranges.ts";
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import { addressBlock } from "./address-block.ts";
import { answer } from "./answer.ts";
import { type ClientAddress, clientAddressFrom } from "./client-address.ts";
import { ConnectionTracker } from "./connections.ts";
import { textResponse } from "./error-response.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "./message.ts";
import { PacedStarts, type StartOwner } from "./paced-starts.ts";
import { PipelinedRequests } from "./pipelined-requests.ts";
import { TlsHandshakes } from "./tls-handshakes.ts";

export interface NodeServerOptions {
  readonly log: Logger;
  /** An address, not a name. Default: this machine only. */
  readonly host?: string;
  /** 0, the default, lets the system pick one. */
  readonly port?: number;
  /** How long `close` lets running requests finish. */
  readonly closeGraceMs?: number;
  /** PEM; without it the server speaks plain HTTP. */
  readonly tls?: TlsIdentity | undefined;
  /** Proxies whose `X-Forwarded-For` or `Forwarded` says where a request comes from. Default: none. */
  readonly trustedProxies?: readonly AddressRange[] | undefined;
  /** Connections at a time; further ones get 503. One address may have half of them, a trusted proxy all. */
  readonly maxConnections?: number | undefined;
  /** A connection on which neither side moves a byte for so long is cut. */
  readonly idleTimeoutMs?: number;
  /** Limit for a whole request. */
  readonly requestTimeoutMs?: number;
  /** Whether requests to this path may take longer, as long as bytes move. By default none may. */
  readonly isLongUpload?: (path: string) => boolean;
}

export interface TlsIdentity {
  /** With the certificates between it and the root, as `fullchain.pem` has them. */
  readonly cert: string;
  readonly key: string;
}

export interface NodeServer {
  /** Without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** For connections from now on. Does nothing without TLS. */
  renewTls(identity: TlsIdentity): void;
  /** Stops accepting, lets running requests finish for the grace time, then cuts what is left. */
  close(): Promise<void>;
}

const DEFAULT_CLOSE_GRACE_MS = 5_000;
/** As API Gateway's idle limit, so both ways of serving behave the same. */
const DEFAULT_IDLE_TIMEOUT_MS = 300_000;

const DEFAULT_MAX_CONNECTIONS = 2_000;
/** Of connections that arrive together; of further ones the system drops packets, and clients repeat them after 1, 3 and 7 s. Linux takes 4,096 at most. */
const LISTEN_BACKLOG = 4_096;

const LIMITS = {
  /** git sends well under 2 KiB; an OAuth token may take 4. Covers the request line too. */
  maxHeaderBytes: 16_384,
  /** API Gateway takes about as much. What is no repository's name is refused later, as one that is not there. */
  maxTargetBytes: 12_288,
  headersTimeoutMs: 20_000,
  handshakeTimeoutMs: 10_000,
  /** For the whole request. git sends at most some MiB; a slow uplink may need minutes. */
  requestTimeoutMs: 300_000,
  /** git keeps a connection between its two or three requests only. */
  keepAliveTimeoutMs: 15_000,
} as const;

const SERVER_OPTIONS = {
  maxHeaderSize: LIMITS.maxHeaderBytes,
  headersTimeout: LIMITS.headersTimeoutMs,
  // It has no exceptions; see `limitRequestTime`.
  requestTimeout: 0,
  keepAliveTimeout: LIMITS.keepAliveTimeoutMs,
} as const;

const TLS_OPTIONS = { handshakeTimeout: LIMITS.handshakeTimeoutMs, ALPNProtocols: ["http/1.1"] };

/** @throws What node:tls throws for a certificate or a key that it cannot use; what node:net throws when the address cannot be bound, EADDRINUSE first of all. */
export async function startNodeServer(handler: HttpHandler, options: NodeServerOptions): Promise<NodeServer> {
  const host = options.host ?? "127.0.0.1";
  const { trustedProxies = [], maxConnections = DEFAULT_MAX_CONNECTIONS } = options;
  const connections = new ConnectionTracker(maxConnections, addressMatcher(trustedProxies));
  const pipelined = new PipelinedRequests();
  const starts = new PacedStarts();
  const serving = {
    ...{ handler, log: options.log, clientAddress: clientAddressFrom(trustedProxies) },
    ends: new PacedStarts(MAX_ENDS_A_TURN),
  };
  const take = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const { socket } = incoming;
    if (pipelined.isCut(socket)) return;
    limitRequestTime(incoming, options);
    outgoing.once("close", () => connections.requestEnded(socket));
    pipelined.start(socket, outgoing, () => {
      connections.requestStarted(socket);
      const begin = (): void => {
        if (!outgoing.destroyed) void serve(serving, incoming, outgoing, server);
      };
      starts.start(begin, () => startOwner(incoming, serving.clientAddress));
    });
  };
  const { tls } = options;
  const secure = tls && createTlsServer({ ...SERVER_OPTIONS, ...TLS_OPTIONS, ...tls }, take);
  const server = secure ?? createServer(SERVER_OPTIONS, take);
  const handshakes = new TlsHandshakes();
  secure?.on("connection", (socket: Socket) => handshakes.begun(socket));
  server.on(secure ? "secureConnection" : "connection", (socket: Socket) => {
    if (secure !== undefined) handshakes.done(socket);
    pipelined.parseInPieces(socket);
    connections.opened(socket);
  });
  server.timeout = options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS;
  const port = await listen(server, host, options.port ?? 0);
  return {
    url: `${secure ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    renewTls: (identity) => secure?.setSecureContext(identity),
    close: () => close(server, connections, options.closeGraceMs ?? DEFAULT_CLOSE_GRACE_MS),
  };
}

/** What an abort sets off may take 0.2 ms: thousands of callers may leave at once. */
const MAX_ENDS_A_TURN = 20;
/** One for all: each would cost a stack trace. */
const CALLER_GONE = new DOMException("the caller has left", "AbortError");

interface Serving {
  readonly handler: HttpHandler;
  readonly log: Logger;
  readonly clientAddress: ClientAddress;
  readonly ends: PacedStarts;
}

/** Never rejects. */
async function serve(
  { handler, log, clientAddress, ends }: Serving,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  server: Server,
): Promise<void> {
  const gone = new AbortController();
  let isGone = false;
  outgoing.once("close", () => {
    isGone = !outgoing.writableFinished;
    if (!isGone) return;
    ends.start(
      () => gone.abort(CALLER_GONE),
      () => startOwner(incoming, clientAddress),
    );
  });
  const request = toRequest(incoming, clientAddress, { signal: gone.signal, cut: () => outgoing.destroy() });
  const response = isRequest(request) ? await answer(handler, request, log) : request;
  try {
    // A body left unread would be taken for the connection's next request.
    const mustClose = !incoming.complete || !server.listening;
    outgoing.writeHead(response.status, { ...response.headers, ...(mustClose && { connection: "close" }) });
    incoming.resume();
    await pipeline(response.body, outgoing);
  } catch (error) {
    // The status has been sent, so only a cut connection can report the failure; pipeline() has cut it.
    const fields = { method: incoming.method, status: response.status, ...errorFields(error) };
    if (isGone && !outgoing.errored) log.debug("http:caller-gone", fields);
    else log.error("http:response-cut", fields, { AnswerFailures: 1 });
    outgoing.destroy();
  }
}

function limitRequestTime(
  incoming: IncomingMessage,
  { isLongUpload, requestTimeoutMs = LIMITS.requestTimeoutMs }: NodeServerOptions,
): void {
  if (isLongUpload?.(incoming.url ?? "")) return;
  const overdue = setTimeout(() => !incoming.complete && incoming.destroy(), requestTimeoutMs).unref();
  incoming.once("close", () => clearTimeout(overdue));
}

function startOwner(incoming: IncomingMessage, clientAddress: ClientAddress): StartOwner {
  const address = clientAddress(incoming.socket.remoteAddress, headersOf(incoming));
  return { address: addressBlock(address), credential: incoming.headers.authorization ?? "" };
}

function headersOf({ headersDistinct }: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, values] of Object.entries(headersDistinct)) {
    if (values !== undefined) headers[name] = values.join(", ");
  }
  return headers;
}

function isRequest(value: HttpRequest | HttpResponse): value is HttpRequest {
  return "method" in value;
}

function toRequest(
  incoming: IncomingMessage,
  clientAddress: ClientAddress,
  connection: Pick<HttpRequest, "signal" | "cut">,
): HttpRequest | HttpResponse {
  const target = originForm(incoming.url ?? "");
  if (target.length > LIMITS.maxTargetBytes) return textResponse(414, "address too long");
  if (!target.startsWith("/")) return textResponse(400, "address must be a path");
  const queryStart = target.indexOf("?");
  const headers = headersOf(incoming);
  if (incoming.socket instanceof TLSSocket) headers["x-forwarded-proto"] = "https";
  const remoteAddress = clientAddress(incoming.socket.remoteAddress, headers);
  return {
    method: incoming.method ?? "GET",
    ...(remoteAddress !== undefined && { remoteAddress }),
    path: queryStart < 0 ? target : target.slice(0, queryStart),
    query: new URLSearchParams(queryStart < 0 ? "" : target.slice(queryStart + 1)),
    headers,
    // A handler may refuse a body half-read; that must not destroy the connection its answer goes out on.
    body: incoming.iterator({ destroyOnReturn: false }),
    ...connection,
  };
}

/** Servers must also accept the form that proxies get, `http://host/path`. Source: RFC 9112, section 3.2.2. */
function originForm(target: string): string {
  const authority = /^https?:\/\/[^/?#]*/i.exec(target)?.[0];
  if (authority === undefined) return target;
  const path = target.slice(authority.length);
  return path.startsWith("/") ? path : `/${path}`;
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function close(server: Server, connections: ConnectionTracker, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    // Its error says that the server was closed before: then this call has nothing left to do.
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    connections.close();
  });
}
