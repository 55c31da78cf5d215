/** Parameters of AWS Systems Manager (SecureString), by the SDK, which finds the operator's credentials. */
import {
  GetParameterCommand,
  ParameterAlreadyExists,
  ParameterNotFound,
  PutParameterCommand,
  type SSMClient,
} from "@aws-sdk/client-ssm";
import type { ReadParameter } from "./aws-requests.ts";

export function ssmParameters(client: SSMClient): ReadParameter {
  return async (name) => {
    try {
      const { Parameter: parameter } = await client.send(
        new GetParameterCommand({ Name: name, WithDecryption: true }),
      );
      return parameter?.Value || undefined;
    } catch (error) {
      if (error instanceof ParameterNotFound) return undefined;
      throw error;
    }
  };
}

/** @returns Whether it was created; otherwise there is one already, which stays. */
export async function createSsmParameter(client: SSMClient, name: string, value: string): Promise<boolean> {
  try {
    await client.send(new PutParameterCommand({ Name: name, Value: value, Type: "SecureString" }));
    return true;
  } catch (error) {
    if (error instanceof ParameterAlreadyExists) return false;
    throw error;
  }
}
