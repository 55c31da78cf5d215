/** GET requests as git's configuration wants them: to the mirror, and to the store at addresses that the mirror gives. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { AGENT } from "../../../lib/config.ts";
import { UpstreamError } from "../../../lib/errors.ts";
import type { Headers } from "./extra-headers.ts";
import { type HttpSettings, readHttpSettings } from "./http-settings.ts";
import type { GitRun } from "./run-git.ts";

/** A connection over which nothing came for so long is given up. */
const IDLE_MS = 60_000;

/** A plan of the most packs is some 300 KB; another server may send anything. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

/** Of parallel downloads: more bring little over one line. */
export const MAX_CONNECTIONS = 6;

export interface TextAnswer {
  readonly status: number;
  readonly text: string;
}

interface Origin {
  readonly agent: HttpAgent;
  readonly headers: Headers;
}

export class HttpClient {
  readonly #git: GitRun;
  readonly #env: NodeJS.ProcessEnv;
  /** As it was given. */
  readonly mirrorUrl: string;
  readonly #mirrorUrl: URL;
  readonly #origins = new Map<string, Promise<Origin | undefined>>();

  /** @param mirrorUrl - Headers of git's configuration (`http.extraHeader`) go to its host alone: they may hold a credential. */
  constructor(git: GitRun, mirrorUrl: string, env: NodeJS.ProcessEnv) {
    this.#git = git;
    this.#env = env;
    this.mirrorUrl = mirrorUrl;
    this.#mirrorUrl = new URL(mirrorUrl);
  }

  /** @returns Whether requests there can be made as git's configuration wants them. */
  async canReach(url: string): Promise<boolean> {
    return (await this.#originOf(url)) !== undefined;
  }

  /** Follows no redirect. @throws {UpstreamError} There is no answer. */
  async get(url: string, headers: Headers = {}): Promise<IncomingMessage> {
    const origin = await this.#originOf(url);
    if (origin === undefined)
      throw new UpstreamError("only git itself can make this request", { retryable: false });
    const send = url.startsWith("https:") ? httpsRequest : httpRequest;
    const own = { "user-agent": AGENT, "accept-encoding": "identity" };
    const options = {
      agent: origin.agent,
      headers: { ...own, ...origin.headers, ...headers },
      timeout: IDLE_MS,
    };
    return new Promise((resolve, reject) => {
      const request = send(url, options, resolve);
      request.on("timeout", () => request.destroy(new Error(`nothing came for ${IDLE_MS / 1000} s`)));
      request.on("error", (cause) =>
        reject(new UpstreamError(`${new URL(url).origin} cannot be reached`, { retryable: true, cause })),
      );
      request.end();
    });
  }

  async getText(url: string, headers: Headers): Promise<TextAnswer> {
    const response = await this.get(url, headers);
    const chunks: Uint8Array[] = [];
    let leftBytes = MAX_TEXT_BYTES;
    for await (const chunk of bodyOf(response)) {
      leftBytes -= chunk.length;
      if (leftBytes < 0) throw new UpstreamError("the mirror's answer is too long", { retryable: false });
      chunks.push(chunk);
    }
    return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
  }

  #originOf(url: string): Promise<Origin | undefined> {
    const { origin } = new URL(url);
    let known = this.#origins.get(origin);
    if (known === undefined) {
      // Settings for the repository's address count for its plan, as they do for git's requests.
      const settingsUrl = origin === this.#mirrorUrl.origin ? this.#mirrorUrl.href : url;
      known = readHttpSettings(this.#git, settingsUrl, this.#env).then(
        (settings) => settings && this.#open(origin, settings),
      );
      this.#origins.set(origin, known);
    }
    return known;
  }

  #open(origin: string, { agent, headers }: HttpSettings): Origin {
    const options = { ...agent, keepAlive: true, maxSockets: MAX_CONNECTIONS };
    return {
      agent: origin.startsWith("https:") ? new HttpsAgent(options) : new HttpAgent(options),
      headers: origin === this.#mirrorUrl.origin ? headers : {},
    };
  }
}

/** @throws {UpstreamError} The connection broke, for whatever reason: node:http, node:tls and the system have an error each. */
export async function* bodyOf(response: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    yield* response;
  } catch (cause) {
    throw new UpstreamError("the connection broke", { retryable: true, cause });
  }
}
