/** Whether an answer arrives as the function writes it. */
import { gitAuthorization } from "../../../../lib/bitbucket/credential.ts";
import { encodePktLine } from "../../../../lib/git/pktline.ts";
import { type DeploymentCheck, type DeploymentTargets, judged, notShown, seen } from "./check.ts";

const TIMEOUT_MS = 900_000;
/** Below, an answer's time is that of its first byte. */
const MIN_BYTES = 20_000_000;
/** Of the whole time: an answer that is held back has its first byte at the end. */
const MAX_SHARE = 0.8;

const FLUSH = "0000";
const DELIMITER = "0001";

async function post({ mirrorUrl, repository, account }: DeploymentTargets, body: string): Promise<Response> {
  const response = await fetch(`${mirrorUrl}/${repository}.git/git-upload-pack`, {
    method: "POST",
    headers: {
      authorization: gitAuthorization(account) ?? "",
      "git-protocol": "version=2",
      "content-type": "application/x-git-upload-pack-request",
    },
    body,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`the mirror answers ${response.status}`);
  return response;
}

const line = (text: string) => Buffer.from(encodePktLine(`${text}\n`)).toString();

export const STREAMING_CHECK: DeploymentCheck = {
  name: "API Gateway streams",
  settles: ["API Gateway streams"],
  needs: ["account"],
  async run(targets) {
    const refs = await (await post(targets, line("command=ls-refs") + FLUSH)).text();
    const [, id] = /([0-9a-f]{40}) refs\/heads\//.exec(refs) ?? [];
    if (id === undefined) return judged("the repository has no branch");
    const request = ["command=fetch", DELIMITER, "ofs-delta", `want ${id}`, "done", FLUSH];
    const startedMs = performance.now();
    const { body } = await post(
      targets,
      request.map((one) => (one === DELIMITER || one === FLUSH ? one : line(one))).join(""),
    );
    let bytes = 0;
    let firstMs = 0;
    for await (const chunk of body ?? []) {
      if (bytes === 0) firstMs = performance.now() - startedMs;
      bytes += chunk.length;
    }
    const totalMs = performance.now() - startedMs;
    const detail = `first byte after ${(firstMs / 1000).toFixed(2)} of ${(totalMs / 1000).toFixed(2)} s`;
    if (bytes < MIN_BYTES)
      return notShown(
        `its branch of ${(bytes / 1e6).toFixed(1)} MB is too small, ${MIN_BYTES / 1e6} MB show it`,
      );
    return firstMs < totalMs * MAX_SHARE ? seen(detail) : judged(detail);
  },
  advice: "See responseTransferMode of the API's methods.",
};
