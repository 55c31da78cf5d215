/** Clients that read slowly cost the server little memory, whatever they are sent. Linux only: it looks into /proc. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { MirrorBuilder } from "../support/git/mirror-builder.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";

const SERVER = fileURLToPath(new URL("../bench/mirror-server-child.ts", import.meta.url));
const CLIENT_COUNT = 12;
const MAX_BYTES_PER_CLIENT = 10_000_000;
const BYTES_PER_SECOND = 100_000;
const BYTES_TO_READ = 300_000;

let folder: TemporaryFolder;
let server: ChildProcess;
let port: number;
let tips: string[];

beforeAll(async () => {
  folder = await temporaryFolder();
  const source = join(folder.path, "source");
  await makeSampleRepository(source);
  let stream = "commit refs/heads/large\ncommitter C <c@example.com> 1700000000 +0000\ndata 0\n";
  // 32 MB that are not compressed: more than a client may cost.
  for (let number = 0; number < 16; number++) {
    const text = randomBytes(1_500_000).toString("base64");
    stream += `M 644 inline ${number}\ndata ${text.length}\n${text}\n`;
  }
  await git(["-c", "core.compression=0", "fast-import", "--quiet"], { cwd: source, input: stream });
  const store = new FsBlobStore(join(folder.path, "store"));
  const builder = await MirrorBuilder.open(store, source, join(folder.path, "scratch"));
  await builder.addPack({
    revisions: [],
    packObjectsOptions: ["--all", "--delta-base-offset", "--window=0"],
  });
  await builder.publish("acme", "large");
  tips = (await git(["for-each-ref", "--format=%(objectname)"], { cwd: source })).split("\n");
  server = spawn(process.execPath, [SERVER, join(folder.path, "store")], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const url = await new Promise<string>((resolve) =>
    server.stdout?.once("data", (text) => resolve(String(text))),
  );
  port = Number(new URL(url.trim()).port);
}, 120_000);

afterAll(async () => {
  server.kill("SIGKILL");
  await folder.remove();
});

async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

function requestFor(wants: readonly string[]): Uint8Array {
  const lines = ["ofs-delta", "no-progress", ...wants.map((id) => `want ${id}`), "done"];
  const body = Buffer.concat([
    encodePktLine("command=fetch\n"),
    DELIM_PKT,
    ...lines.map((line) => encodePktLine(`${line}\n`)),
    FLUSH_PKT,
  ]);
  const head = [
    "POST /acme/large/git-upload-pack HTTP/1.1",
    "Host: 127.0.0.1",
    "Git-Protocol: version=2",
    "Content-Type: application/x-git-upload-pack-request",
    `Content-Length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}

/** Takes its bytes from the connection at that speed and no faster. */
function readSlowly(request: Uint8Array): Socket & { readBytes?: number } {
  const socket: Socket & { readBytes?: number } = connect({ port, host: "127.0.0.1" });
  socket.readBytes = 0;
  socket.on("data", (chunk) => {
    socket.readBytes = (socket.readBytes ?? 0) + chunk.length;
    socket.pause();
    setTimeout(() => socket.resume(), (chunk.length / BYTES_PER_SECOND) * 1000);
  });
  socket.write(request);
  return socket;
}

test.each([
  ["that are sent whole packs", () => tips],
  ["that are sent entry by entry", () => tips.slice(0, -1)],
])("clients %s", async (_, wants) => {
  const request = requestFor(wants());
  // What the process takes once, for all callers: code, indexes, cached blocks.
  const warm = connect({ port, host: "127.0.0.1" });
  warm.write(request);
  let warmBytes = 0;
  for await (const chunk of warm) {
    warmBytes += (chunk as Uint8Array).length;
    if (warmBytes > 30_000_000) break;
  }
  const before = await residentBytes();
  const clients = Array.from({ length: CLIENT_COUNT }, () => readSlowly(request));
  let most = 0;
  // However long that takes.
  while (clients.some(({ readBytes = 0 }) => readBytes < BYTES_TO_READ)) {
    await sleep(200);
    most = Math.max(most, await residentBytes());
  }
  for (const client of clients) client.destroy();
  expect((most - before) / CLIENT_COUNT).toBeLessThan(MAX_BYTES_PER_CLIENT);
});
