/** The mirror as `npm start` runs it, in a process of its own, over a folder store and a fake Bitbucket. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { DEMO_ACCOUNT } from "../../functions/local/demo.ts";
import type { FakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { freePort } from "./nginx-git-server.ts";
import type { Workspace } from "./workspace.ts";

const PROGRAM = fileURLToPath(new URL("../../functions/cli/nearside.js", import.meta.url));
/** The end of what the mirror wrote, which says why it ended. */
const MAX_SAID_LENGTH = 2000;

/**
 * Starts the mirror of one repository.
 * @param repository - `workspace/slug`.
 * @returns Its address, once it has the repository and its webhook hangs at the primary. It ends with the workspace.
 */
export async function startLocalMirror(
  workspace: Workspace,
  { gitUrl, apiUrl }: FakeBitbucket,
  store: string,
  repository: string,
): Promise<string> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const args = [
    ...["--json", "--store", store, "--port", String(port), "--webhook-url", url],
    ...["--git-url", gitUrl, "--api-url", apiUrl, "--repository", repository],
    // Only the webhook announces a push.
    ...["--poll-seconds", "86400", "--anonymous-per-minute", "0"],
  ];
  const { email, token } = DEMO_ACCOUNT;
  const { PATH = "" } = process.env;
  const child = workspace.spawn(process.execPath, [PROGRAM, "serve", ...args], {
    env: { PATH, BITBUCKET_EMAIL: email, BITBUCKET_API_TOKEN: token },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-MAX_SAID_LENGTH);
  });
  const lines = createInterface({ input: child.stdout as Readable });
  const ended = once(child, "exit").then(() => {
    throw new Error(`the mirror ended before it was ready: ${said}`);
  });
  await Promise.race([once(lines, "line"), ended]);
  return url;
}
