/**
 * git-http-backend(1) behind nginx and fcgiwrap, the way git's own documentation sets it up. All their files are in the
 * workspace, and the system's services are left alone.
 *
 * The CPU time and memory given are those of fcgiwrap and the git processes below it. nginx, which passes the bytes on, is
 * left out: in favour of git.
 * Source: git-http-backend(1), "EXAMPLES".
 */
import { access, constants, readFile, writeFile } from "node:fs/promises";
import { connect, createServer, type NetConnectOpts } from "node:net";
import { delimiter, join } from "node:path";
import { isolatedGitEnvironment } from "../support/git/run-git.ts";
import { endChild, type MeasuredServer, untilIdle } from "./measured-server.ts";
import { treeCpuSeconds } from "./process-usage.ts";
import type { Workspace } from "./workspace.ts";

export interface WebServerPrograms {
  readonly nginx: string;
  readonly fcgiwrap: string;
}

/** @returns `undefined` if one of them is not installed. */
export async function findWebServer(): Promise<WebServerPrograms | undefined> {
  const [nginx, fcgiwrap] = await Promise.all([findProgram("nginx"), findProgram("fcgiwrap")]);
  return nginx === undefined || fcgiwrap === undefined ? undefined : { nginx, fcgiwrap };
}

/** @param atOnce - How many requests it answers at the same time. */
export async function startNginxGitServer(
  workspace: Workspace,
  { nginx, fcgiwrap }: WebServerPrograms,
  root: string,
  atOnce: number,
): Promise<MeasuredServer> {
  const folder = await workspace.newFolder("nginx");
  const files = {
    script: join(folder, "git-http-backend.sh"),
    cpuTimes: join(folder, "cpu-times"),
    socket: join(folder, "fcgiwrap.sock"),
    configuration: join(folder, "nginx.conf"),
  };
  // fcgiwrap does not wait for its children, so the system does not add their CPU time to its own: the shell reports it.
  const script = `#!/bin/sh\ngit http-backend\ntimes >>"${files.cpuTimes}"\n`;
  await Promise.all([writeFile(files.script, script, { mode: 0o755 }), writeFile(files.cpuTimes, "")]);
  const port = await freePort();
  await writeFile(files.configuration, nginxConfiguration({ ...files, folder, root, port }));
  const stdio = ["ignore", "ignore", "inherit"] as const;
  // One process answers one request at a time; with several of them, one more only minds them.
  const processArgs = atOnce === 1 ? [] : ["-c", String(atOnce)];
  const processCount = atOnce === 1 ? 1 : atOnce + 1;
  const wrapperArgs = [...processArgs, "-s", `unix:${files.socket}`];
  const wrapper = workspace.spawn(fcgiwrap, wrapperArgs, { stdio: [...stdio] });
  const server = workspace.spawn(nginx, ["-p", folder, "-c", files.configuration], { stdio: [...stdio] });
  await Promise.all([untilListening({ path: files.socket }), untilListening({ host: "127.0.0.1", port })]);
  const rootPid = wrapper.pid;
  if (rootPid === undefined) throw new Error("fcgiwrap did not start");
  return {
    url: `http://127.0.0.1:${port}`,
    rootPid,
    async cpuSeconds(): Promise<number> {
      await untilIdle(rootPid, processCount);
      return treeCpuSeconds(rootPid) + sumOfTimes(await readFile(files.cpuTimes, "latin1"));
    },
    async close(): Promise<void> {
      await Promise.all([endChild(server), endChild(wrapper)]);
    },
  };
}

/** @param text - What the shell's `times` prints: minutes and seconds, `0m1.230000s`. */
function sumOfTimes(text: string): number {
  let seconds = 0;
  for (const [, minutes, rest] of text.matchAll(/(\d+)m([\d.]+)s/g))
    seconds += Number(minutes) * 60 + Number(rest);
  return seconds;
}

/** Settings by environment variables, as git-config(1) has it. */
function gitConfiguration(settings: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(settings).flatMap(([key, value], i) => [
    [`GIT_CONFIG_KEY_${i}`, key],
    [`GIT_CONFIG_VALUE_${i}`, value],
  ]);
  return { GIT_CONFIG_COUNT: String(Object.keys(settings).length), ...Object.fromEntries(entries) };
}

interface NginxSettings {
  readonly folder: string;
  readonly script: string;
  readonly socket: string;
  readonly root: string;
  readonly port: number;
}

function nginxConfiguration({ folder, script, socket, root, port }: NginxSettings): string {
  const parameters = {
    ...isolatedGitEnvironment(),
    ...gitConfiguration({ "safe.directory": "*", "uploadpack.allowFilter": "true" }),
    SCRIPT_FILENAME: script,
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: "1",
    PATH_INFO: "$uri",
    QUERY_STRING: "$query_string",
    REQUEST_METHOD: "$request_method",
    CONTENT_TYPE: "$content_type",
    CONTENT_LENGTH: "$content_length",
    GIT_PROTOCOL: "$http_git_protocol",
    HTTP_CONTENT_ENCODING: "$http_content_encoding",
  };
  const parameterLines = Object.entries(parameters).map(
    ([name, value]) => `fastcgi_param ${name} "${value}";`,
  );
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
  client_max_body_size 0;
  # Large buffers, and never by way of the disk: the fastest that nginx passes an answer on.
  fastcgi_buffer_size 64k;
  fastcgi_buffers 16 64k;
  fastcgi_busy_buffers_size 256k;
  fastcgi_max_temp_file_size 0;
  fastcgi_read_timeout 3600;
  server {
    listen 127.0.0.1:${port};
    location / {
      fastcgi_pass "unix:${socket}";
      ${parameterLines.join("\n      ")}
    }
  }
}
`;
}

async function findProgram(name: string): Promise<string | undefined> {
  // Debian keeps them where only an administrator's PATH looks.
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  for (const folder of folders) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

const START_TRIES = 250;

export async function untilListening(address: NetConnectOpts): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await new Promise<void>((resolve, reject) => {
        const socket = connect(address, () => {
          socket.destroy();
          resolve();
        }).once("error", reject);
      });
    } catch (error) {
      if (tries === START_TRIES) {
        throw new Error(`no server at ${JSON.stringify(address)}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
