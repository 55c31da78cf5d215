/** A bare repository behind a file server, with a clone plan of it: all that `nearside clone` asks of a mirror, without one. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { ClonePlan } from "../../lib/repo/clone-plan.ts";
import { git } from "./git/run-git.ts";

export interface FileMirror extends AsyncDisposable {
  readonly url: string;
  /** Of the repository. */
  readonly cloneUrl: string;
  readonly plan: ClonePlan;
  /** What came. */
  readonly requests: IncomingMessage[];
  /** Answers a request in place of the server, and returns whether it has. Called for each. */
  answer: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/**
 * @param folder - Empty; the repository is made in it.
 * @param prepare - Adds to its history, in a work tree.
 */
export async function startFileMirror(
  folder: string,
  prepare: (workTree: string) => Promise<unknown> = async () => undefined,
): Promise<FileMirror> {
  const [work, bare] = [join(folder, "work"), join(folder, "bare.git")];
  await git(["init", "--quiet", work]);
  await git(["commit", "--quiet", "--allow-empty", "--message=first"], { cwd: work });
  await prepare(work);
  await git(["clone", "--quiet", "--bare", work, bare]);
  await git(["repack", "-adq"], { cwd: bare });
  await git(["pack-refs", "--all"], { cwd: bare });
  await git(["update-server-info"], { cwd: bare });
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    if (mirror.answer(request, response)) return;
    const path = request.url ?? "";
    if (path === PLAN_PATH) response.end(JSON.stringify(mirror.plan));
    else sendFile(join(bare, path.replace(REPOSITORY_PATH, "")), request.headers.range, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const mirror: FileMirror = {
    url,
    cloneUrl: `${url}${REPOSITORY_PATH}`,
    plan: await planOf(bare, `${url}${REPOSITORY_PATH}`),
    requests,
    answer: () => false,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return mirror;
}

const REPOSITORY_PATH = "/acme/site.git";
export const PLAN_PATH = "/-/repositories/acme/site.git/clone-plan";

async function planOf(bare: string, url: string): Promise<ClonePlan> {
  const names = await readdir(join(bare, "objects/pack"));
  const name = names.find((one) => one.endsWith(".pack"))?.replace(".pack", "") ?? "";
  const file = (ending: string) => readFile(join(bare, "objects/pack", `${name}.${ending}`));
  const [pack, index, refs] = await Promise.all([
    file("pack"),
    file("idx"),
    readFile(join(bare, "packed-refs")),
  ]);
  return {
    formatVersion: 1,
    refs: {
      url: `${url}/packed-refs`,
      bytes: refs.length,
      sha256: createHash("sha256").update(refs).digest("hex"),
    },
    packs: [
      {
        id: name.replace("pack-", ""),
        objectCount: pack.readUInt32BE(8),
        packBytes: pack.length,
        indexBytes: index.length,
        packUrl: `${url}/objects/pack/${name}.pack`,
        indexUrl: `${url}/objects/pack/${name}.idx`,
      },
    ],
    primaryUrl: "http://primary.invalid/acme/site.git",
  };
}

function sendFile(path: string, range: string | undefined, response: ServerResponse): void {
  readFile(path.replace(/\?.*/, "")).then(
    (bytes) => {
      const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
      if (start === undefined) return response.end(bytes);
      response.writeHead(206, { "content-range": `bytes ${start}-${end}/${bytes.length}` });
      return response.end(bytes.subarray(Number(start), Number(end) + 1));
    },
    () => response.writeHead(404).end(),
  );
}
