/** Requests for handlers, without a server. */
import type { HttpRequest, HttpResponse } from "../../lib/http/message.ts";
import { chunksOf, collect, textOf } from "./byte-chunks.ts";

export interface RequestParts {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal;
}

/** @param target - A path, perhaps with a query. */
export function requestFor(target: string, parts: RequestParts = {}): HttpRequest {
  const { method = "GET", headers = {}, body = new Uint8Array(0), signal } = parts;
  const [path = "", query = ""] = target.split("?");
  return {
    ...{ method, path, headers },
    query: new URLSearchParams(query),
    body: chunksOf(body, [7, 400]),
    signal: signal ?? new AbortController().signal,
  };
}

export async function readResponse(
  response: HttpResponse,
): Promise<HttpResponse & { readonly text: string }> {
  return { ...response, text: textOf(await collect(response.body)) };
}
