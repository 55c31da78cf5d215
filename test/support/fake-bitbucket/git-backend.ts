/** Serves one request by git-http-backend(1), as CGI (RFC 3875). Both bodies stream, with backpressure. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { isolatedGitEnvironment } from "../git/run-git.ts";

/** What Bitbucket's git allows (its recorded advertisement), set without touching the repository's own configuration. */
const GIT_CONFIG: Readonly<Record<string, string>> = {
  "uploadpack.allowFilter": "true",
  "uploadpack.allowTipSHA1InWant": "true",
  "uploadpack.allowReachableSHA1InWant": "true",
  "http.uploadpack": "true",
  "http.receivepack": "true",
  "receive.autogc": "false",
  "safe.directory": "*",
};

const MAX_CGI_HEAD_BYTES = 64 * 1024;

export interface GitBackendRequest {
  readonly repositoryFolder: string;
  /** What follows the repository in the path, `info/refs` for one. */
  readonly endpoint: string;
  readonly query: string;
  readonly gitProtocol: string | undefined;
  readonly callerName: string | undefined;
  readonly cutAfterBytes: number | null;
  /** Called with the length of each piece of the answer's body. */
  readonly onSent?: (bytes: number) => void;
}

/** Resolves when git has exited and the answer is out. */
export async function serveByGit(
  request: IncomingMessage,
  response: ServerResponse,
  options: GitBackendRequest,
): Promise<void> {
  const child = spawn("git", ["http-backend"], {
    env: { ...isolatedGitEnvironment(), ...configEnvironment(), ...cgiEnvironment(request, options) },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const exited = new Promise<void>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve());
  });
  response.once("close", () => child.kill());
  feed(request, child);
  try {
    const output = child.stdout[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const head = await readCgiHead(output);
    response.writeHead(head.status, head.headers);
    const body = cutAfter(rest(head.bodyStart, output), options.cutAfterBytes);
    await pipeline(options.onSent === undefined ? body : counted(body, options.onSent), response);
  } finally {
    await exited;
  }
}

function configEnvironment(): Record<string, string> {
  const entries = Object.entries(GIT_CONFIG).flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${i}`, key],
    [`GIT_CONFIG_VALUE_${i}`, value],
  ]);
  return { GIT_CONFIG_COUNT: String(Object.keys(GIT_CONFIG).length), ...Object.fromEntries(entries) };
}

function cgiEnvironment(request: IncomingMessage, options: GitBackendRequest): Record<string, string> {
  const optional = {
    CONTENT_TYPE: request.headers["content-type"],
    // Absent for a chunked body: git then reads to its end.
    CONTENT_LENGTH: request.headers["content-length"],
    HTTP_CONTENT_ENCODING: request.headers["content-encoding"],
    GIT_PROTOCOL: options.gitProtocol,
    REMOTE_USER: options.callerName,
  };
  const present = Object.entries(optional).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return {
    GATEWAY_INTERFACE: "CGI/1.1",
    REQUEST_METHOD: request.method ?? "GET",
    QUERY_STRING: options.query,
    GIT_PROJECT_ROOT: options.repositoryFolder,
    PATH_INFO: `/${options.endpoint}`,
    GIT_HTTP_EXPORT_ALL: "1",
    REMOTE_ADDR: request.socket.remoteAddress ?? "127.0.0.1",
    ...Object.fromEntries(present),
  };
}

type GitProcess = ChildProcessByStdio<Writable, Readable, null>;

/** Not `pipeline`: it would destroy the connection, and with it the answer, when git stops reading early. */
function feed(request: IncomingMessage, child: GitProcess): void {
  child.stdin.on("error", () => {
    request.unpipe(child.stdin);
    request.resume();
  });
  request.once("close", () => {
    if (!request.complete) child.stdin.destroy();
  });
  request.pipe(child.stdin);
}

interface CgiHead {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly bodyStart: Uint8Array;
}

async function readCgiHead(output: AsyncIterator<Uint8Array>): Promise<CgiHead> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = /\r?\n\r?\n/.exec(bytes.toString("latin1"));
    if (end !== null) return parseCgiHead(bytes, end.index, end.index + end[0].length);
    const chunk = await output.next();
    if (chunk.done || bytes.length > MAX_CGI_HEAD_BYTES) throw new Error("git http-backend sent no CGI head");
    bytes = Buffer.concat([bytes, chunk.value]);
  }
}

function parseCgiHead(bytes: Buffer, headEnd: number, bodyStart: number): CgiHead {
  const headers: Record<string, string> = {};
  for (const line of bytes.toString("latin1", 0, headEnd).split(/\r?\n/)) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const { status = "200", ...others } = headers;
  return { status: Number.parseInt(status, 10), headers: others, bodyStart: bytes.subarray(bodyStart) };
}

async function* rest(start: Uint8Array, output: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  if (start.length > 0) yield start;
  for (let chunk = await output.next(); !chunk.done; chunk = await output.next()) yield chunk.value;
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  onSent: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) {
    onSent(chunk.length);
    yield chunk;
  }
}

/** Fails after so many bytes, which breaks the connection. */
export async function* cutAfter(
  body: AsyncIterable<Uint8Array>,
  limitBytes: number | null,
): AsyncGenerator<Uint8Array, void> {
  let sentBytes = 0;
  for await (const chunk of body) {
    if (limitBytes === null || sentBytes + chunk.length <= limitBytes) {
      yield chunk;
      sentBytes += chunk.length;
      continue;
    }
    yield chunk.subarray(0, limitBytes - sentBytes);
    // The bytes before the cut leave on the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error(`answer cut after ${limitBytes} bytes, as set`);
  }
}
