/**
 * Rows `lfs-pull…`: git-lfs fetches files from the mirror's server over a folder, and the same files from nginx, with a server in
 * Node that answers batches with nginx's addresses and looks nothing up.
 */

import { createReadStream } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { lfsFileKey } from "../../lib/repo/layout.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import { type FileGroup, type LfsFiles, makeLfsFiles } from "./lfs-files.ts";
import { startThrottledMirror } from "./lfs-throttled-mirror.ts";
import { measureGit } from "./measured-command.ts";
import { endChild, startMirrorServer } from "./measured-server.ts";
import { type Contest, type Measurement, runContest } from "./measurement.ts";
import { findWebServer, freePort, untilListening } from "./nginx-git-server.ts";
import type { Row } from "./row.ts";
import type { Workspace } from "./workspace.ts";

interface PullOptions {
  /** Of nginx's throughput the mirror is to have so much. */
  readonly throughput: number;
  /** The whole mirror, over a primary that sends files slowly; else the server alone, without access checks. */
  readonly isThrottled?: boolean;
}

export function lfsPullRow(name: string, groups: readonly FileGroup[], options: PullOptions): Row {
  return {
    name,
    goals: { wall: Number((1 / options.throughput).toFixed(3)) },
    async measure(workspace, { isSmoke, runs }) {
      const files = await makeLfsFiles(workspace, isSmoke ? smokeGroups(groups) : groups);
      const contest = await openContest(workspace, files, isSmoke, options.isThrottled === true);
      try {
        return await runContest(name, contest, runs, workspace);
      } finally {
        await contest.close();
      }
    },
  };
}

/** As many kinds of files, and few of each. */
function smokeGroups(groups: readonly FileGroup[]): FileGroup[] {
  return groups.map(({ sizeBytes }) => ({ count: 3, sizeBytes: Math.min(sizeBytes, 1_000_000) }));
}

async function openContest(
  workspace: Workspace,
  files: LfsFiles,
  isSmoke: boolean,
  isThrottled: boolean,
): Promise<Contest> {
  const client = join(await workspace.newFolder("client"), "client.git");
  await workspace.git(["clone", "--quiet", "--bare", "--shared", files.repository, client]);
  const nginx = await startFileServer(workspace, files.storeFolder, isSmoke);
  const pull = async (url: string): Promise<Measurement> => {
    await rm(join(client, "lfs"), { recursive: true, force: true });
    const settings = ["-c", `lfs.url=${url}`, "-c", "lfs.locksverify=false"];
    const { usage } = await measureGit(workspace, [...settings, "lfs", "fetch", "origin", "main"], {
      cwd: client,
    });
    const fetched = await readdir(join(client, "lfs/objects"), { recursive: true });
    const count = fetched.filter((path) => /[0-9a-f]{64}$/.test(path)).length;
    if (count !== files.files.length) throw new Error(`${count} of ${files.files.length} files were fetched`);
    return { ...usage, bytes: files.totalBytes };
  };
  const pullFrom = (url: string) => pull(`${url}/${BENCH_WORKSPACE}/${BENCH_SLUG}.git/info/lfs`);
  const throttled = isThrottled ? await startThrottledMirror(workspace, files, pullFrom) : undefined;
  const mirror = throttled ?? (await startMirrorServer(workspace, files.storeFolder, 0));
  return {
    async mirror() {
      const measured = await pullFrom(mirror.url);
      throttled?.assertAllFromStore();
      return measured;
    },
    git: () => pull(nginx.url),
    // git-lfs compares each file with its oid.
    verify: async () => undefined,
    async close() {
      await Promise.all([mirror.close(), nginx.close()]);
    },
    setup: { files: files.files.length },
  };
}

interface FileServer {
  readonly url: string;
  close(): Promise<void>;
}

/** nginx beside the server of batches; in a smoke run without nginx, that one sends the files too. */
async function startFileServer(workspace: Workspace, root: string, isSmoke: boolean): Promise<FileServer> {
  const programs = await findWebServer();
  if (programs === undefined && !isSmoke)
    throw new Error("lfs-pull needs nginx: apt-get install nginx-light");
  const nginx = programs && (await startNginx(workspace, programs.nginx, root));
  const batches = createServer((request, response) => {
    if (request.method === "GET") createReadStream(join(root, request.url ?? "")).pipe(response);
    else void answerBatch(request, response, nginx?.url ?? url());
  });
  const url = () => `http://127.0.0.1:${(batches.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => batches.listen(0, "127.0.0.1", resolve));
  return {
    url: url(),
    async close() {
      batches.closeAllConnections();
      await Promise.all([nginx?.close(), new Promise((resolve) => batches.close(resolve))]);
    },
  };
}

async function answerBatch(request: IncomingMessage, response: ServerResponse, filesUrl: string) {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { objects } = JSON.parse(Buffer.concat(chunks).toString()) as {
    objects: { oid: string; size: number }[];
  };
  const answered = objects.map(({ oid, size }) => {
    const href = `${filesUrl}/${lfsFileKey(oid)}`;
    return { oid, size, authenticated: true, actions: { download: { href } } };
  });
  response.writeHead(200, { "content-type": "application/vnd.git-lfs+json" });
  response.end(JSON.stringify({ transfer: "basic", objects: answered }));
}

async function startNginx(workspace: Workspace, program: string, root: string): Promise<FileServer> {
  const folder = await workspace.newFolder("nginx-files");
  const port = await freePort();
  const configuration = join(folder, "nginx.conf");
  await writeFile(configuration, fileConfiguration(folder, root, port));
  const server = workspace.spawn(program, ["-p", folder, "-c", configuration], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await untilListening({ host: "127.0.0.1", port });
  return { url: `http://127.0.0.1:${port}`, close: () => endChild(server) };
}

function fileConfiguration(folder: string, root: string, port: number): string {
  const temporaryPaths = ["client_body", "fastcgi", "proxy", "scgi", "uwsgi"].map(
    (kind) => `${kind}_temp_path "${join(folder, kind)}";`,
  );
  return `daemon off;
master_process off;
pid "${join(folder, "nginx.pid")}";
error_log stderr error;
events {}
http {
  access_log off;
  ${temporaryPaths.join("\n  ")}
  sendfile on;
  tcp_nopush on;
  server {
    listen 127.0.0.1:${port};
    root "${root}";
  }
}
`;
}
