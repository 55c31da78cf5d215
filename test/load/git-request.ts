/** Requests of git clients, and of callers who only look like them. */
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";

export interface SentRequest {
  readonly method?: "GET" | "POST";
  readonly path: string;
  /** Its name is its token; absent: none. */
  readonly caller?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Where it comes from, as a proxy says. */
  readonly address?: string;
  /** Of the body; absent: all at once. */
  readonly sentBytesPerSecond?: number;
  /** Of the answer; 0: nothing. Absent: all at once. */
  readonly readBytesPerSecond?: number;
  /** Does not end the body, and waits for no more than an early answer. */
  readonly unfinished?: boolean;
  /** Before it reads the answer's body. */
  readonly readAfterMs?: number;
  readonly maxMs: number;
}

export interface Received {
  /** `cut`: the connection broke before the answer's end; `timeout`: no whole answer in `maxMs`. */
  readonly status: number | "cut" | "timeout";
  readonly tookMs: number;
}

const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY });

export async function send(port: number, sent: SentRequest): Promise<Received> {
  const { method = "POST", path, caller, token = caller, address, maxMs } = sent;
  const startedMs = performance.now();
  const signal = AbortSignal.timeout(maxMs);
  const credential = caller !== undefined && { authorization: `Basic ${btoa(`${caller}:${token}`)}` };
  const headers = {
    ...sent.headers,
    ...credential,
    ...(address !== undefined && { "x-forwarded-for": address }),
  };
  const status = await new Promise<Received["status"]>((resolve) => {
    const fail = (): void => resolve(signal.aborted ? "timeout" : "cut");
    const outgoing = request({ port, host: "127.0.0.1", method, path, headers, agent, signal });
    outgoing.on("error", fail);
    outgoing.on("response", (incoming) => {
      incoming.on("error", fail);
      incoming.on("end", () => resolve(incoming.statusCode ?? 0));
      if (sent.readBytesPerSecond !== undefined) readSlowly(incoming, sent.readBytesPerSecond);
      else if (sent.readAfterMs === undefined) incoming.resume();
      else setTimeout(() => incoming.resume(), sent.readAfterMs).unref();
    });
    writeBody(outgoing, sent);
  });
  return { status, tookMs: performance.now() - startedMs };
}

function writeBody(
  outgoing: ClientRequest,
  { body = new Uint8Array(0), unfinished, sentBytesPerSecond }: SentRequest,
): void {
  if (sentBytesPerSecond === undefined) {
    if (unfinished === true) outgoing.write(body);
    else outgoing.end(body);
    return;
  }
  let sentBytes = 0;
  const timer = setInterval(() => {
    outgoing.write(body.subarray(sentBytes, sentBytes + sentBytesPerSecond));
    sentBytes += sentBytesPerSecond;
    if (sentBytes >= body.length) outgoing.end();
    if (sentBytes >= body.length || outgoing.destroyed) clearInterval(timer);
  }, 1_000);
}

const READS_PER_SECOND = 4;

function readSlowly(incoming: IncomingMessage, bytesPerSecond: number): void {
  if (bytesPerSecond === 0) return;
  const timer = setInterval(() => {
    incoming.read(Math.min(incoming.readableLength, bytesPerSecond / READS_PER_SECOND));
    if (incoming.destroyed || incoming.readableEnded) clearInterval(timer);
  }, 1_000 / READS_PER_SECOND);
}

const POST_HEADERS = { "content-type": "application/x-git-upload-pack-request" };
const V2_HEADERS = { ...POST_HEADERS, "git-protocol": "version=2" };

function pktLines(lines: readonly string[]): Uint8Array[] {
  return lines.map((line) => encodePktLine(`${line}\n`));
}

/** Protocol version 2. @param args - One a line; `done` is not added. */
export function fetchV2(
  slug: string,
  args: readonly string[],
): Pick<SentRequest, "path" | "headers" | "body"> {
  const body = Buffer.concat([
    ...pktLines(["command=fetch"]),
    DELIM_PKT,
    ...pktLines(["thin-pack", "ofs-delta", ...args]),
    FLUSH_PKT,
  ]);
  return { path: `/acme/${slug}.git/git-upload-pack`, headers: V2_HEADERS, body };
}

export function lsRefs(slug: string): Pick<SentRequest, "path" | "headers" | "body"> {
  const body = Buffer.concat([
    ...pktLines(["command=ls-refs"]),
    DELIM_PKT,
    ...pktLines(["peel", "symrefs", "ref-prefix refs/heads/"]),
    FLUSH_PKT,
  ]);
  return { path: `/acme/${slug}.git/git-upload-pack`, headers: V2_HEADERS, body };
}

/** Protocol version 0: one want, then the haves. */
export function fetchV0(
  slug: string,
  want: string,
  haves: readonly string[],
): Pick<SentRequest, "path" | "headers" | "body"> {
  const body = Buffer.concat([
    ...pktLines([`want ${want} multi_ack_detailed side-band-64k ofs-delta`]),
    FLUSH_PKT,
    ...pktLines(haves.map((id) => `have ${id}`)),
    FLUSH_PKT,
  ]);
  return { path: `/acme/${slug}.git/git-upload-pack`, headers: POST_HEADERS, body };
}
