/**
 * A small Bitbucket Cloud on this machine: git over HTTP by git itself, the part of REST 2.0 this project calls, webhooks,
 * and switches to misbehave. Serves every `<folder>/<workspace>/<slug>.git`, also those that appear later.
 */
import { readdir } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { ZodError } from "zod";
import { type AccountsInput, OPEN_ACCOUNTS } from "./accounts.ts";
import { Controls, GOOD_BEHAVIOUR, type Misbehaviour, type RequestRecord } from "./controls.ts";
import {
  type Answer,
  answer,
  type Exchange,
  type Fake,
  jsonAnswer,
  readJson,
  textAnswer,
} from "./exchange.ts";
import { GitRoutes } from "./git-routes.ts";
import { LfsControls, type LfsFaults } from "./lfs-controls.ts";
import { LfsStorage } from "./lfs-storage.ts";
import { Lifecycle } from "./lifecycle.ts";
import { errorAnswer, handleRest } from "./rest-routes.ts";
import type { Json } from "./shapes.ts";
import { Webhooks } from "./webhooks.ts";

export interface FakeBitbucketOptions {
  /** Holds `<workspace>/<slug>.git`. */
  readonly repositoriesFolder: string;
  /** 0, the default, picks one. */
  readonly port?: number;
  /** {@link OPEN_ACCOUNTS} when absent. */
  readonly accounts?: AccountsInput;
  readonly misbehaviour?: Partial<Misbehaviour>;
  /** Gets every push in every workspace, besides what is subscribed over REST. */
  readonly webhook?: { readonly url: string; readonly secret?: string };
  readonly webhookTimeoutMs?: number;
  readonly webhookRetryDelayMs?: number;
}

export interface FakeBitbucket {
  /** Where everything is. */
  readonly url: string;
  /** Before `/<workspace>/<slug>.git`. */
  readonly gitUrl: string;
  /** Before `/repositories`; ends in `/2.0`. */
  readonly apiUrl: string;
  readonly controls: Controls;
  /** Of git-lfs: its storage is on another port. */
  readonly lfs: LfsControls;
  /** Does what people do to repositories; resolves when webhooks are delivered or given up. */
  readonly lifecycle: Lifecycle;
  close(): Promise<void>;
}

const DEFAULT_WEBHOOK_TIMEOUT_MS = 10_000;
const DEFAULT_WEBHOOK_RETRY_DELAY_MS = 100;

/** @throws {Error} There is no such folder, the port is taken, or an option is wrong. */
export async function startFakeBitbucket(options: FakeBitbucketOptions): Promise<FakeBitbucket> {
  const root = resolve(options.repositoriesFolder);
  await readdir(root);
  const controls = new Controls(options.accounts ?? OPEN_ACCOUNTS, options.misbehaviour);
  const webhooks = new Webhooks(controls, {
    timeoutMs: options.webhookTimeoutMs ?? DEFAULT_WEBHOOK_TIMEOUT_MS,
    retryDelayMs: options.webhookRetryDelayMs ?? DEFAULT_WEBHOOK_RETRY_DELAY_MS,
  });
  if (options.webhook !== undefined) {
    const input = { description: "", active: true, events: ["repo:push"], ...options.webhook };
    webhooks.add({ kind: "everywhere" }, input);
  }
  const server = createServer();
  const url = await listen(server, options.port ?? 0);
  const addresses = { gitUrl: url, apiUrl: `${url}/2.0` };
  const lfs = new LfsControls();
  const storage = new LfsStorage(lfs);
  await storage.listen();
  const fake = { root, addresses, controls, webhooks, lfs: { controls: lfs, storage } };
  const gitRoutes = new GitRoutes(fake);
  server.on("request", (request, response) => {
    handle(fake, gitRoutes, request, response).catch((error: unknown) => {
      if (response.headersSent || response.destroyed) response.destroy();
      else response.writeHead(500, { "Content-Type": "text/plain" }).end(`fake Bitbucket: ${error}\n`);
    });
  });
  const close = async () => {
    webhooks.close();
    const closed = new Promise<void>((done) => server.close(() => done()));
    server.closeAllConnections();
    await closed;
    await storage.close();
    await controls.settled();
  };
  return { url, ...addresses, controls, lfs, lifecycle: new Lifecycle(fake), close };
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((done, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", done);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function handle(
  fake: Fake,
  gitRoutes: GitRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", fake.addresses.gitUrl);
  const surface = url.pathname.startsWith("/2.0/") ? "rest" : "git";
  const { "git-protocol": gitProtocol } = request.headers;
  const record: RequestRecord = {
    method: request.method ?? "GET",
    path: url.pathname,
    query: url.search.slice(1),
    surface,
    gitProtocol: typeof gitProtocol === "string" ? gitProtocol : undefined,
    startedAtMs: performance.now(),
  };
  if (url.pathname.startsWith("/-/")) {
    return answerControl(fake, { request, response, url, record, faults: GOOD_BEHAVIOUR });
  }
  fake.controls.requests.push(record);
  response.on("finish", () => {
    record.endedAtMs = performance.now();
    record.status = response.statusCode;
  });
  response.on("close", () => {
    record.endedAtMs ??= performance.now();
  });
  const exchange = { request, response, url, record, faults: fake.controls.takeFaults(surface) };
  if (await misbehave(exchange)) return;
  return surface === "rest" ? handleRest(fake, exchange) : gitRoutes.handle(exchange);
}

const ERROR_PAGE = "<html><body><h1>Something went wrong</h1></body></html>";

/** @returns Whether that was the answer. */
async function misbehave(exchange: Exchange): Promise<boolean> {
  const { faults, record, response } = exchange;
  if (faults.delayMs > 0) await delayWhileConnected(response, faults.delayMs);
  if (faults.down || response.destroyed) {
    response.destroy();
    return true;
  }
  if (faults.rateLimitedForSeconds !== null) {
    const message = "Rate limit for this resource has been exceeded";
    const isJson = record.surface === "rest" && !faults.rateLimitAsText;
    const limited = isJson ? errorAnswer(429, message) : textAnswer(429, message);
    const retryAfter = { "Retry-After": String(faults.rateLimitedForSeconds) };
    await answer(exchange, { ...limited, headers: { ...limited.headers, ...retryAfter } });
    return true;
  }
  if (faults.failWithStatus !== null) {
    const isJson = record.surface === "rest" && faults.failWithStatus < 500;
    const failed = isJson
      ? errorAnswer(faults.failWithStatus, "This API is no longer available")
      : { body: ERROR_PAGE, headers: { "Content-Type": "text/html" } };
    const retryAfter = faults.failedForSeconds !== null && { "Retry-After": String(faults.failedForSeconds) };
    const headers = { ...failed.headers, ...retryAfter };
    await answer(exchange, { status: faults.failWithStatus, headers, body: failed.body });
    return true;
  }
  return false;
}

async function delayWhileConnected(response: ServerResponse, delayMs: number): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  await setTimeout(delayMs, undefined, { signal: gone.signal }).catch(() => {});
}

/** GET and PUT /-/controls (the switches named change), PUT /-/accounts, GET and DELETE /-/requests. */
async function answerControl(fake: Fake, exchange: Exchange): Promise<void> {
  const route = `${exchange.request.method} ${exchange.url.pathname}`;
  let result: Answer;
  try {
    result = jsonAnswer(200, await runControl(fake, route, exchange.request));
  } catch (error) {
    if (!(error instanceof ZodError || error instanceof SyntaxError)) throw error;
    result = textAnswer(400, error.message);
  }
  return answer(exchange, result);
}

async function runControl(fake: Fake, route: string, request: IncomingMessage): Promise<Json> {
  const { controls } = fake;
  const lfs = fake.lfs.controls;
  switch (route) {
    case "PUT /-/controls":
      controls.misbehave((await readJson(request)) as Partial<Misbehaviour>);
      return controls.misbehaviour;
    case "GET /-/controls":
      return controls.misbehaviour;
    case "PUT /-/lfs":
      lfs.misbehave((await readJson(request)) as Partial<LfsFaults>);
      return lfs.faults;
    case "GET /-/lfs":
      return lfs.faults;
    case "PUT /-/accounts":
      controls.replaceAccounts((await readJson(request)) as AccountsInput);
      return {};
    case "DELETE /-/requests":
      controls.clearRequests();
      return [];
    case "GET /-/requests":
      return JSON.parse(JSON.stringify(controls.requests)) as Json;
    default:
      throw new SyntaxError(
        "Known here: GET and PUT /-/controls and /-/lfs, PUT /-/accounts, GET and DELETE /-/requests",
      );
  }
}
