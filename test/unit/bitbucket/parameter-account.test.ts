import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SSMClient } from "@aws-sdk/client-ssm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ssmParameters } from "../../../lib/aws/ssm-parameters.ts";
import { parameterAccounts } from "../../../lib/bitbucket/parameter-account.ts";
import { ConfigError } from "../../../lib/errors.ts";

/** What the parameter holds. */
let parameterText = "";
/** Stands where SSM does. */
const ssm = createServer((incoming, outgoing) => {
  void text(incoming).then((body) => {
    const { Name: name, WithDecryption: isDecrypted } = JSON.parse(body) as Record<string, unknown>;
    const value =
      name === "/nearside/accounts/bitbucket" && isDecrypted === true ? parameterText : "encrypted";
    outgoing.end(JSON.stringify({ Parameter: { Name: name, Value: value } }));
  });
});
let client: SSMClient;

beforeAll(async () => {
  ssm.listen(0, "127.0.0.1");
  await once(ssm, "listening");
  client = new SSMClient({
    endpoint: `http://127.0.0.1:${(ssm.address() as AddressInfo).port}`,
    region: "us-east-1",
    credentials: { accessKeyId: "key", secretAccessKey: "secret" },
  });
});

const accountOf = () => parameterAccounts(ssmParameters(client), "/nearside/")({ credential: "bitbucket" });

afterAll(() => {
  client.destroy();
  ssm.close();
});

test.each([
  {
    json: { email: "ci@example.com", token: "t" },
    account: { kind: "api-token", email: "ci@example.com", token: "t" },
  },
  { json: { token: "t" }, account: { kind: "access-token", token: "t" } },
])("$json becomes $account.kind", async ({ json, account }) => {
  parameterText = JSON.stringify(json);
  expect(await accountOf()).toEqual(account);
});

test.each(["hunter2", '{"token":"hunter2","password":"x"}', '{"email":"hunter2"}'])(
  "the parameter's text %s is refused and not repeated",
  async (parameter) => {
    parameterText = parameter;
    const failure = await accountOf().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    const { message, context, cause } = failure as ConfigError;
    expect(JSON.stringify({ message, context, cause: String(cause) })).not.toContain("hunter2");
  },
);
