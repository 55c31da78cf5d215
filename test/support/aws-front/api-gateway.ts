/** An API Gateway REST API with response streaming, by its definition: routes, authorizer, limits, and what it answers itself. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { AuthorizerResult } from "../../../lib/http/lambda-authorizer.ts";
import { type ApiDefinition, findRoute } from "./api-definition.ts";
import { type DeployedFunction, FunctionError, ThrottledError } from "./deployed-function.ts";
import { gatewayEvent, type RoutedRequest, sourceAddress } from "./gateway-event.ts";
import { gatewayResponse, type ResponseType, refusedInvocation } from "./gateway-responses.ts";
import { LAMBDA_PACE, type Pace, sendStream } from "./stream-response.ts";
import { readStreamedResponse } from "./streamed-response.ts";

/** Of API Gateway, for a request's body. */
const MAX_REQUEST_BYTES = 10 * 1024 * 1024;
/** Of Lambda, for the event's JSON: a body in base64 counts a third more than it is. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;

/** One line of the access log, in the names of infra/git-endpoint.ts. */
interface AccessLine {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** `undefined`: a function's answer. */
  readonly errorType: ResponseType | undefined;
}

export interface ApiGateway {
  /** With the stage, without a slash at its end. */
  readonly url: string;
  readonly accessLog: readonly AccessLine[];
  close(): Promise<void>;
}

export interface ApiGatewayOptions {
  /** Called with the first request: references to the API's own address are resolved by then. */
  readonly definition: () => ApiDefinition;
  readonly functionOf: (name: string) => InvokedFunction;
  readonly pace?: Pace;
}

type InvokedFunction = Pick<DeployedFunction, "invoke" | "stream">;

interface Gateway {
  readonly api: ApiDefinition;
  readonly functionOf: (name: string) => InvokedFunction;
  readonly pace: Pace;
  readonly decisions: Map<string, { readonly context: Context; readonly untilMs: number }>;
}

type Context = Readonly<Record<string, unknown>>;

/** API Gateway answers instead of a function. */
class Refusal extends Error {
  readonly type: ResponseType;
  constructor(type: ResponseType, options?: ErrorOptions) {
    super(type, options);
    this.type = type;
  }
}

export async function startApiGateway(options: ApiGatewayOptions): Promise<ApiGateway> {
  const accessLog: AccessLine[] = [];
  let gateway: Gateway | undefined;
  const allows = requestLimit();
  const server = createServer((incoming, outgoing) => {
    gateway ??= {
      ...{ api: options.definition(), functionOf: options.functionOf, pace: options.pace ?? LAMBDA_PACE },
      decisions: new Map(),
    };
    const url = new URL(incoming.url ?? "/", "http://gateway");
    const { stage } = gateway.api;
    const path = url.pathname.startsWith(`/${stage}/`) ? url.pathname.slice(stage.length + 1) : "";
    const log = (status: number, errorType?: ResponseType) =>
      accessLog.push({ method: incoming.method ?? "", path, status, errorType });
    void answer(gateway, { incoming, outgoing, path, query: url.searchParams, allows, log });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    get url() {
      return `http://127.0.0.1:${port}/${options.definition().stage}`;
    },
    accessLog,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly allows: (api: ApiDefinition) => boolean;
  readonly log: (status: number, errorType?: ResponseType) => void;
}

/** Never rejects: what goes wrong is a status or a cut connection. */
async function answer(gateway: Gateway, exchange: Exchange): Promise<void> {
  const { incoming, outgoing, log } = exchange;
  try {
    await forward(gateway, exchange);
  } catch (error) {
    const type = typeOf(error, gateway.api);
    if (outgoing.headersSent || outgoing.destroyed) {
      log(outgoing.statusCode, type);
      outgoing.destroy();
      return;
    }
    const { status, headers, body } = gatewayResponse(gateway.api, type, incoming.headers);
    log(status, type);
    outgoing.writeHead(status, headers).end(body);
  }
}

function typeOf(error: unknown, api: ApiDefinition): ResponseType {
  if (error instanceof Refusal) return error.type;
  if (error instanceof ThrottledError) return refusedInvocation(api);
  return "BAD_GATEWAY";
}

async function forward(gateway: Gateway, exchange: Exchange): Promise<void> {
  const { api, functionOf, pace } = gateway;
  const { incoming, outgoing, path, query, log } = exchange;
  const body = await buffer(incoming);
  if (!exchange.allows(api)) throw new Refusal("THROTTLED");
  const found = findRoute(api, incoming.method ?? "", path);
  if (found === undefined) throw new Refusal("MISSING_AUTHENTICATION_TOKEN");
  if (api.isDenied?.(sourceAddress(incoming), `${incoming.method}${path}`))
    throw new Refusal("ACCESS_DENIED");
  if (body.length > MAX_REQUEST_BYTES) throw new Refusal("REQUEST_TOO_LARGE");
  const request: RoutedRequest = { api, ...found, incoming, path, query, body };
  const context = found.route.isAuthorized ? await authorize(gateway, request) : undefined;
  const event = gatewayEvent(request, context);
  if (JSON.stringify(event).length > MAX_EVENT_BYTES) throw new Refusal("REQUEST_TOO_LARGE");
  const timeout = new AbortController();
  const startTimeout = () => {
    setTimeout(() => timeout.abort(new Error("the integration timed out")), found.route.timeoutMs).unref();
  };
  const streamed = await withTimeout(timeout.signal, async () =>
    readStreamedResponse(await functionOf(found.route.function).stream(event, startTimeout)),
  );
  log(streamed.statusCode);
  if (!outgoing.destroyed) {
    outgoing.writeHead(streamed.statusCode, remapped(streamed.headers));
    outgoing.flushHeaders();
  }
  await sendStream(streamed, outgoing, pace, timeout.signal);
}

/** The function runs on. */
async function withTimeout<T>(timeout: AbortSignal, run: () => Promise<T>): Promise<T> {
  const result = run();
  const late = new Promise<never>((_, reject) =>
    timeout.addEventListener("abort", () => reject(new Refusal("INTEGRATION_TIMEOUT"))),
  );
  return Promise.race([result, late]);
}

/** @returns The context that the function gets. */
async function authorize(gateway: Gateway, request: RoutedRequest): Promise<Context | undefined> {
  const { authorizer } = gateway.api;
  if (authorizer === undefined) return undefined;
  const identity = authorizer.identitySources.map((source) => identityValue(source, request));
  if (identity.includes(undefined)) throw new Refusal("UNAUTHORIZED");
  const key = authorizer.cacheMs > 0 ? JSON.stringify(identity) : undefined;
  const cached = gateway.decisions.get(key ?? "");
  if (cached !== undefined && cached.untilMs > Date.now()) return cached.context;
  const context = await decide(gateway.functionOf(authorizer.function), request);
  if (key !== undefined) gateway.decisions.set(key, { context, untilMs: Date.now() + authorizer.cacheMs });
  return context;
}

function identityValue(source: string, { incoming, path }: RoutedRequest): string | undefined {
  const [, header] = /^method\.request\.header\.(.+)$/.exec(source) ?? [];
  if (header !== undefined) return String(incoming.headers[header.toLowerCase()] ?? "") || undefined;
  if (source === "context.path") return path;
  throw new Error(`not understood: ${source}`);
}

async function decide(authorizer: InvokedFunction, request: RoutedRequest): Promise<Context> {
  const {
    body: _,
    isBase64Encoded: __,
    ...event
  } = gatewayEvent({ ...request, body: Buffer.alloc(0) }, undefined);
  const { stage } = request.api;
  const methodArn = `arn:aws:execute-api:us-east-1:000000000000:api/${stage}/${event.httpMethod}${event.path}`;
  let result: AuthorizerResult;
  try {
    result = (await authorizer.invoke({ type: "REQUEST", methodArn, ...event })) as AuthorizerResult;
  } catch (error) {
    if (error instanceof FunctionError && error.message === "Unauthorized")
      throw new Refusal("UNAUTHORIZED", { cause: error });
    throw new Refusal("AUTHORIZER_FAILURE", { cause: error });
  }
  const { policyDocument, context } = result;
  const [statement] = policyDocument.Statement;
  const isAllowed =
    statement?.Effect === "Allow" &&
    statement.Resource === `arn:aws:execute-api:us-east-1:000000000000:api/${stage}/*`;
  if (!isAllowed) throw new Refusal("ACCESS_DENIED");
  if (Object.values(context).some((value) => typeof value !== "string"))
    throw new Refusal("AUTHORIZER_CONFIGURATION_ERROR");
  return context;
}

/** Requests of the stage, by token bucket. */
function requestLimit(): (api: ApiDefinition) => boolean {
  let used = 0;
  let atMs = performance.now();
  return ({ requestsPerSecond }) => {
    if (requestsPerSecond === undefined) return true;
    const nowMs = performance.now();
    used = Math.max(0, used - ((nowMs - atMs) / 1000) * requestsPerSecond.rate);
    atMs = nowMs;
    if (used + 1 > requestsPerSecond.burst) return false;
    used += 1;
    return true;
  };
}

/** API Gateway does so with the answers of functions. */
function remapped(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name.toLowerCase() === "www-authenticate" ? "x-amzn-Remapped-WWW-Authenticate" : name,
      value,
    ]),
  );
}
