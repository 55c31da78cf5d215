/** What a server of the stream tier measures, in its log. */
import { expect, test } from "vitest";
import { ENV } from "../../lib/config.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { spawnMirror } from "../support/mirror-process.ts";

async function refusals(environment: Record<string, string>): Promise<Record<string, unknown>[]> {
  const folder = await temporaryFolder();
  const env = { [ENV.streamTierKeys]: "k".repeat(32), ...environment };
  const tier = spawnMirror(["--tier", "--port", "0", "--store", folder.path], { env });
  try {
    const url = await tier.printed(/"url":"([^"]+)"/);
    for (const token of ["", "/-/t/a.b"]) {
      const response = await fetch(`${url}${token}/acme/sample.git/info/refs?service=git-upload-pack`);
      expect(response.status).toBe(403);
      await response.body?.cancel();
    }
    const { stdout } = await tier.stop("SIGTERM");
    const lines = stdout.trim().split("\n");
    return lines.map((line) => JSON.parse(line)).filter(({ verdict }) => verdict !== undefined);
  } finally {
    await tier.stop("SIGKILL");
    await folder.remove();
  }
}

test("in a deployment refused tokens are counted as its functions count, and strangers are not", async () => {
  const [stranger, token] = await refusals({ [ENV.stackPrefix]: "Acme" });
  expect(stranger).toMatchObject({ verdict: "tier-not-valid", status: 403 });
  expect(stranger).not.toHaveProperty("_aws");
  expect(token).toMatchObject({
    verdict: "tier-not-valid",
    TierRefusals: 1,
    _aws: {
      CloudWatchMetrics: [{ Namespace: "Acme", Metrics: [{ Name: "TierRefusals", Unit: "Count" }] }],
    },
  });
});

test("elsewhere its lines are plain", async () => {
  const lines = await refusals({});
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line).not.toHaveProperty("_aws");
});
