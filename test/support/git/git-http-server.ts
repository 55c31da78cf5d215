/** A folder of bare repositories served by git itself over HTTP: what a client of the mirror is compared with. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serveByGit } from "../fake-bitbucket/git-backend.ts";

export interface GitHttpServer {
  /** The address of `<folder>/<name>`. */
  urlOf(name: string): string;
  close(): Promise<void>;
}

export async function startGitHttpServer(folder: string): Promise<GitHttpServer> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const [, name = "", ...endpoint] = url.pathname.split("/");
    const gitProtocol = request.headers["git-protocol"];
    serveByGit(request, response, {
      repositoryFolder: join(folder, name),
      endpoint: endpoint.join("/"),
      query: url.searchParams.toString(),
      gitProtocol: typeof gitProtocol === "string" ? gitProtocol : undefined,
      callerName: undefined,
      cutAfterBytes: null,
    }).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    urlOf: (name) => `http://127.0.0.1:${port}/${name}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}
