/** Serves `<root>/bench/repository.git` by git-http-backend(1): `node test/bench/git-server-child.ts <root>`. Prints its URL. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serveByGit } from "../support/fake-bitbucket/git-backend.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";

const [root] = process.argv.slice(2);
if (root === undefined) throw new Error("usage: git-server-child <root>");
const repositoryPath = `/${BENCH_WORKSPACE}/${BENCH_SLUG}.git`;

const server = createServer((request, response) => {
  const { pathname, search } = new URL(request.url ?? "", "http://localhost");
  const served = serveByGit(request, response, {
    repositoryFolder: join(root, repositoryPath),
    endpoint: pathname.slice(`${repositoryPath}/`.length),
    query: search.slice(1),
    gitProtocol: request.headersDistinct["git-protocol"]?.[0],
    callerName: undefined,
    cutAfterBytes: null,
  });
  served.catch((error: unknown) => {
    // A client that hangs up has what it wants.
    if (!response.destroyed) console.error(error);
    response.destroy();
  });
});
server.listen({ host: "127.0.0.1", port: 0 }, () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
process.once("disconnect", () => process.exit());
