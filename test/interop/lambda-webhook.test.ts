/** The webhook function as it is deployed: its bundle, behind what stands for API Gateway. */
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { workspaceSecret } from "../../lib/webhook/signature.ts";
import { startAwsFront } from "../support/aws-front/aws-front.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { MIRROR_SECRET } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();
const BODY = JSON.stringify({ push: { changes: [] } });

describe.skipIf(runtimeClient === undefined)("the webhook function", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  beforeAll(async () => {
    folder = await temporaryFolder();
  });

  afterAll(() => folder.remove());

  test.each([
    { addresses: ["127.0.0.0/8", "2001:db8::/32"], signed: 400, unsigned: 401 },
    { addresses: ["203.0.113.0/24"], signed: 403, unsigned: 403 },
  ])("set to $addresses, answers this machine $signed, and unsigned $unsigned", async (expected) => {
    await using front = await startAwsFront({
      runtimeClient: runtimeClient ?? "",
      folder: folder.path,
      settings: { webhookAddresses: expected.addresses },
    });
    const statusOf = async (signature: string) => {
      const headers = { "x-event-key": "repo:push", "x-hub-signature": signature };
      const response = await fetch(`${front.url}/-/webhooks/acme`, { method: "POST", headers, body: BODY });
      await response.text();
      return response.status;
    };
    const hmac = createHmac("sha256", workspaceSecret(MIRROR_SECRET, "acme")).update(BODY).digest("hex");
    // It is Bitbucket's, but names no repository.
    expect(await statusOf(`sha256=${hmac}`)).toBe(expected.signed);
    expect(await statusOf(`sha256=${"0".repeat(64)}`)).toBe(expected.unsigned);
  });
});
