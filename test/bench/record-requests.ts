/** Has stock git ask a server, and writes down what it asks. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import type { CannedRequest } from "./canned-exchange.ts";
import { startPlainGitServer } from "./measured-server.ts";
import type { Workspace } from "./workspace.ts";

export interface ClientRun {
  /** The folder of the repository that git serves. */
  readonly root: string;
  /** @param url - Of the repository. @returns Arguments of git. */
  readonly args: (url: string) => readonly string[];
  readonly cwd?: string;
}

/**
 * All requests of one run of git, in their order. It is cut off where a pack would follow: rounds of negotiation before
 * that are real, since a real server answers them.
 * @throws {Error} git failed for another reason.
 */
export async function recordRequests(
  workspace: Workspace,
  { root, args, cwd }: ClientRun,
): Promise<readonly CannedRequest[]> {
  const git = await startPlainGitServer(workspace, root);
  const relay = new RecordingRelay(git.url);
  const url = await relay.listen();
  try {
    const running = workspace.git(args(url), cwd === undefined ? {} : { cwd });
    const failure = await running.then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure !== undefined && !relay.isCut)
      throw new Error("git cannot ask for what a row measures", { cause: failure });
    return relay.requests;
  } finally {
    await relay.close();
    await git.close();
  }
}

const REPOSITORY_PATH = `/${BENCH_WORKSPACE}/${BENCH_SLUG}.git`;
/** Of this connection, not of the request; Node sets them anew. */
const CONNECTION_HEADERS = ["host", "connection", "content-length", "transfer-encoding"];
/** The line before the pack. Before it come only object ids and a few words. */
const PACK_FOLLOWS = Buffer.from("000dpackfile\n");

/** Passes requests on to a git server, and answers back up to where a pack begins. */
class RecordingRelay {
  readonly requests: CannedRequest[] = [];
  isCut = false;
  readonly #target: string;
  readonly #server = createServer((request, response) => {
    this.#relay(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  });

  constructor(target: string) {
    this.#target = target;
  }

  /** @returns The repository's URL. */
  async listen(): Promise<string> {
    this.#server.listen({ host: "127.0.0.1", port: 0 });
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${REPOSITORY_PATH}`;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async #relay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url = "/" } = request;
    const body = await buffer(request);
    const headers = Object.fromEntries(
      Object.entries(request.headersDistinct)
        .filter(([name]) => !CONNECTION_HEADERS.includes(name))
        .map(([name, values]) => [name, values?.join(", ") ?? ""]),
    );
    const endpoint = url.slice(REPOSITORY_PATH.length);
    this.requests.push({ method, endpoint, headers, bodyBase64: body.toString("base64") });
    const answer = await fetch(this.#target + url, { method, headers, ...(body.length > 0 && { body }) });
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
    let end = Buffer.alloc(0);
    for await (const chunk of answer.body ?? []) {
      end = Buffer.concat([end, chunk]);
      if (end.includes(PACK_FOLLOWS)) {
        this.isCut = true;
        response.destroy();
        return;
      }
      end = end.subarray(-PACK_FOLLOWS.length);
      response.write(chunk);
    }
    response.end();
  }
}
