/** Lambda's own API, as far as a function calls another one. Source: docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import type { CallPolicies } from "./call-policies.ts";
import { type DeployedFunction, FunctionError, ThrottledError } from "./deployed-function.ts";
import { ACCOUNT, REGION } from "./template.ts";

export interface LambdaServerOptions {
  readonly policies: CallPolicies;
  readonly functionOf: (id: string) => DeployedFunction;
}

export interface LambdaServer {
  readonly endpoint: string;
  close(): Promise<void>;
}

export async function startLambdaServer({
  policies,
  functionOf,
}: LambdaServerOptions): Promise<LambdaServer> {
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });
  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const [, id = ""] = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(incoming.url ?? "") ?? [];
    const event = await json(incoming);
    const send = (status: number, body: unknown, headers: Record<string, string> = {}) => {
      outgoing.writeHead(status, { "content-type": "application/json", ...headers });
      outgoing.end(JSON.stringify(body));
    };
    const call = {
      function: String(incoming.headers["x-amz-security-token"]),
      action: "lambda:InvokeFunction",
      resource: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${id}`,
    };
    if (!policies.check(call)) return send(403, { Message: "not authorized" });
    try {
      send(200, await functionOf(id).invoke(event));
    } catch (error) {
      if (error instanceof ThrottledError)
        send(429, { Reason: "ReservedFunctionConcurrentInvocationLimitExceeded" });
      else if (error instanceof FunctionError)
        send(200, { errorMessage: error.message }, { "x-amz-function-error": "Unhandled" });
      else throw error;
    }
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
