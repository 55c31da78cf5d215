/** What a deployment is told, as CDK context: `cdk deploy -c name=value` or "context" in cdk.json. */
import type { Node } from "constructs";
import type { Access } from "./git-endpoint.ts";

export interface Settings {
  /** Put before the stacks' names, so that an account can hold more than one mirror. */
  readonly stackPrefix: string;
  readonly access: Access;
  readonly credentialParameterName: string | undefined;
  /** API Gateway has one role for its logs in an account and region: whether to set it. */
  readonly setsApiLogRole: boolean;
}

/** Long and plain on purpose: nobody opens private repositories to the internet by a typing error. */
const ALLOW_ANYONE = "allow-anyone";

/** @throws {Error} A setting has a value that it cannot have. */
export function readSettings(node: Node): Settings {
  const publicAccess = text(node, "publicAccess");
  if (publicAccess !== undefined && publicAccess !== ALLOW_ANYONE) {
    throw new Error(`publicAccess can only be "${ALLOW_ANYONE}"; leave it out to keep the API closed`);
  }
  const apiLogRole = text(node, "apiLogRole");
  if (apiLogRole !== undefined && apiLogRole !== "create") {
    throw new Error('apiLogRole can only be "create"; leave it out to keep the account\'s role');
  }
  return {
    stackPrefix: text(node, "stackPrefix") ?? "Nearside",
    access: publicAccess === ALLOW_ANYONE ? "anyone" : "aws-callers",
    credentialParameterName: text(node, "credentialParameter"),
    setsApiLogRole: apiLogRole === "create",
  };
}

function text(node: Node, name: string): string | undefined {
  const value: unknown = node.tryGetContext(name);
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string") throw new Error(`${name} must be a text`);
  return value;
}
