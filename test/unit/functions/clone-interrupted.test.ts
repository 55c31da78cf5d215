/** `nearside clone` that is interrupted, or whose transfers are. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { bodyOf } from "../../../functions/cli/clone/http-client.ts";
import { runCli } from "../../support/cli.ts";
import { BY_PLAN_ALWAYS, type CloneRig, openCloneRig } from "../../support/clone-rig.ts";
import { PLAN_PATH } from "../../support/file-mirror.ts";
import { isolatedGitEnvironment } from "../../support/git/run-git.ts";

let rig: CloneRig;

beforeAll(async () => {
  rig = await openCloneRig();
});

beforeEach(() => rig.reset());

afterAll(() => rig[Symbol.asyncDispose]());

/** @returns Resolves when a request has come for which `isAwaited` holds; it gets the first bytes of an answer, or none. */
function stallAt(isAwaited: (url: string) => boolean, firstBytes = ""): Promise<void> {
  return new Promise((resolve) => {
    rig.mirror.answer = ({ url = "", headers }, response) => {
      if (!isAwaited(url)) return false;
      if (firstBytes !== "") {
        const [, range] = /^bytes=(.*)$/.exec(headers.range ?? "") ?? [];
        response.writeHead(206, { "content-range": `bytes ${range}/${rig.mirror.plan.packs[0]?.packBytes}` });
        response.write(firstBytes, () => resolve());
      } else resolve();
      return true;
    };
  });
}

const PROGRAM = fileURLToPath(new URL("../../../functions/cli/nearside.js", import.meta.url));

test.each([
  ["the download", "SIGINT", () => stallAt((url) => url.endsWith(".pack"), "PACK")],
  ["the download", "SIGTERM", () => stallAt((url) => url.endsWith(".pack"), "PACK")],
  ["the download", "SIGHUP", () => stallAt((url) => url.endsWith(".pack"), "PACK")],
  ["git clone", "SIGINT", () => stallAt((url) => url.includes("/info/refs"))],
  ["git clone", "SIGTERM", () => stallAt((url) => url.includes("/info/refs"))],
  ["git clone", "SIGHUP", () => stallAt((url) => url.includes("/info/refs"))],
] as const)("during %s, %s to this process alone leaves nothing behind", async (_, signal, stall) => {
  const target = join(await rig.newFolder(), "clone");
  const stalled = stall();
  const args = [PROGRAM, "clone", "--quiet", BY_PLAN_ALWAYS, rig.mirror.cloneUrl, target];
  const child = spawn(process.execPath, args, { env: isolatedGitEnvironment(), stdio: "ignore" });
  const end = once(child, "close");
  await Promise.race([stalled, end]);
  expect(await readdir(dirname(target))).not.toEqual([]);
  child.kill(signal);
  expect(await end).toEqual([128 + constants.signals[signal], null]);
  expect(await readdir(dirname(target))).toEqual([]);
});

test("a signal during the check of all objects ends git as well", async () => {
  const tools = await rig.newFolder();
  const isThere = (name: string) => vi.waitUntil(() => existsSync(join(tools, name)), { timeout: 50_000 });
  const { PATH = "", ...env } = isolatedGitEnvironment();
  const script = `#!/bin/sh
case "$*" in *index-pack*)
  trap 'touch "${tools}/ended"; exit 1' TERM
  touch "${tools}/started"
  while :; do sleep 0.1; done
esac
PATH='${PATH}' exec git "$@"
`;
  await writeFile(join(tools, "git"), script, { mode: 0o755 });
  const target = join(await rig.newFolder(), "clone");
  const args = [PROGRAM, "clone", "--quiet", "--verify", BY_PLAN_ALWAYS, rig.mirror.cloneUrl, target];
  const child = spawn(process.execPath, args, { env: { ...env, PATH: `${tools}:${PATH}` }, stdio: "ignore" });
  const end = once(child, "close");
  await isThere("started");
  child.kill("SIGTERM");
  expect(await end).toEqual([143, null]);
  await isThere("ended");
  expect(await readdir(dirname(target))).toEqual([]);
});

test.each([
  ["is cut", Buffer.from('{"formatVersion'), "the connection broke"],
  ["is not HTTP", Buffer.from("no length\r\n"), "the connection broke"],
  ["never ends", Buffer.alloc(5 * 1024 * 1024, " "), "too long"],
])("where the answer for the plan %s, git clones", async (kind, body, text) => {
  rig.mirror.answer = ({ url }, response) => {
    if (url !== PLAN_PATH) return false;
    if (kind !== "is not HTTP") response.write(body, () => kind === "is cut" && response.destroy());
    else response.socket?.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body}`);
    return true;
  };
  const target = join(await rig.newFolder(), "clone");
  const { exitCode, stderr } = await runCli(["clone", rig.mirror.cloneUrl, target], isolatedGitEnvironment());
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.stringContaining(text) as string });
  expect(stderr).toContain("git does it by itself");
  expect(existsSync(join(target, ".git"))).toBe(true);
});

test("an error in the middle of a transfer is one to retry, whatever its code", async () => {
  async function* broken() {
    yield Buffer.from("a");
    throw Object.assign(new Error("bad record"), { code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC" });
  }
  const chunks: string[] = [];
  const read = async () => {
    for await (const chunk of bodyOf(broken())) chunks.push(Buffer.from(chunk).toString());
  };
  await expect(read()).rejects.toMatchObject({ code: "UPSTREAM", retryable: true });
  expect(chunks).toEqual(["a"]);
});

test("a download that breaks in the middle of a chunk continues", async () => {
  let isBroken = false;
  rig.mirror.answer = ({ url = "", headers }, response) => {
    if (!url.endsWith(".pack") || isBroken) return false;
    isBroken = true;
    const [, range] = /^bytes=(.*)$/.exec(headers.range ?? "") ?? [];
    response.socket?.write(
      `HTTP/1.1 206 Partial\r\ntransfer-encoding: chunked\r\ncontent-range: bytes ${range}/${rig.mirror.plan.packs[0]?.packBytes}\r\n\r\n4\r\nPACK\r\nno length\r\n`,
    );
    return true;
  };
  const { exitCode, downloads } = await rig.clone([]);
  expect({ exitCode, downloads }).toEqual({ exitCode: 0, downloads: 4 });
  const ranges = rig.mirror.requests
    .filter(({ url }) => url?.endsWith(".pack"))
    .map(({ headers }) => headers.range);
  expect(ranges.map((range) => range?.split("-")[0])).toEqual(["bytes=0", "bytes=4"]);
});
