import type { SSMClient } from "@aws-sdk/client-ssm";
import { expect, test } from "vitest";
import { readSsmSecret } from "../../../lib/auth/ssm-secret.ts";
import { ConfigError } from "../../../lib/errors.ts";

function clientGiving(answer: object): { client: SSMClient; inputs: unknown[] } {
  const inputs: unknown[] = [];
  const send = async ({ input }: { readonly input: unknown }) => {
    inputs.push(input);
    return answer;
  };
  return { client: { send } as unknown as SSMClient, inputs };
}

test("the secret is read, decrypted, by its name in Secrets Manager", async () => {
  const { client, inputs } = clientGiving({ Parameter: { Value: "a secret" } });
  expect(await readSsmSecret(client, "nearside/auth")).toBe("a secret");
  expect(inputs).toEqual([{ Name: "/aws/reference/secretsmanager/nearside/auth", WithDecryption: true }]);
});

test.each([{}, { Parameter: {} }, { Parameter: { Value: "" } }])("%j is no secret", async (answer) => {
  const failure: unknown = await readSsmSecret(clientGiving(answer).client, "nearside/auth").catch(
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(ConfigError);
  const message = "the authorizer's secret is empty";
  expect(failure).toMatchObject({ message, context: { secretName: "nearside/auth" } });
});
