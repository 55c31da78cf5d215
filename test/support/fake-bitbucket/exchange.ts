/** One request on its way through the fake, and the answers that several routes share. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Controls, Misbehaviour, RequestRecord } from "./controls.ts";
import { cutAfter } from "./git-backend.ts";
import type { LfsControls } from "./lfs-controls.ts";
import type { LfsStorage } from "./lfs-storage.ts";
import type { Addresses, Json } from "./shapes.ts";
import type { Webhooks } from "./webhooks.ts";

/** What all routes work on. */
export interface Fake {
  /** Holds `<workspace>/<slug>.git`. */
  readonly root: string;
  readonly addresses: Addresses;
  readonly controls: Controls;
  readonly webhooks: Webhooks;
  readonly lfs: { readonly controls: LfsControls; readonly storage: LfsStorage };
}

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly record: RequestRecord;
  readonly faults: Misbehaviour;
}

export const NO_ACCESS_TEXT =
  "You may not have access to this repository or it no longer exists in this workspace. " +
  "If you think this repository exists and you have access, make sure you are authenticated.";

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

export async function answer({ request, response, faults }: Exchange, { status, headers, body }: Answer) {
  const bytes = Buffer.from(body);
  response.writeHead(status, { ...headers, "Content-Length": bytes.length });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  await pipeline(cutAfter(Readable.from([bytes]), faults.cutAfterBytes), response);
}

export function textAnswer(status: number, text: string, headers: Record<string, string> = {}): Answer {
  return { status, headers: { "Content-Type": "text/plain; charset=utf-8", ...headers }, body: `${text}\n` };
}

export function jsonAnswer(status: number, value: Json, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { "Content-Type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify(value),
  };
}

const MAX_JSON_BYTES = 1024 * 1024;

/** @throws {SyntaxError} Not JSON, or too long to be meant. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let totalBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    totalBytes += chunk.length;
    if (totalBytes > MAX_JSON_BYTES) throw new SyntaxError("body too long");
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}
