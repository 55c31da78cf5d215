/** HTTP as the use-cases see it: no transport, bodies pulled. */

export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** As received: percent-encoded, without the query. */
  readonly path: string;
  /** What comes before `path` in the client's URLs, without a slash at its end: an API's stage. */
  readonly basePath?: string;
  readonly query: URLSearchParams;
  /** Lower-case names; repeated values joined with ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Not yet decoded: `content-encoding` still applies. To be read before the response's first chunk; what is left then
   * is discarded.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** The sender's address, as the transport sees it. */
  readonly remoteAddress?: string;
  /** What an authorizer before this process has said of it. Only the transport can set it, never the caller. */
  readonly authorizerContext?: Readonly<Record<string, unknown>>;
  /** Aborts when the caller has gone or, with a TimeoutError, when the time for an answer is nearly up. */
  readonly signal: AbortSignal;
  /** Cuts the connection. Absent where a process has one request at a time. */
  readonly cut?: (() => void) | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Pulled by the transport, so a slow caller costs no memory. The transport drops it for HEAD. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Never throws for what the caller did wrong: that is a response. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;
