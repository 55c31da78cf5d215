/** AWS's Systems Manager as the functions need it: parameters that are read, and made if they are not there. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

export interface SecretServer {
  readonly endpoint: string;
  /** By name; may be changed. */
  readonly parameters: Map<string, string>;
  close(): Promise<void>;
}

interface ParameterRequest {
  readonly Name?: string;
  readonly Value?: string;
  readonly Type?: string;
  readonly WithDecryption?: boolean;
}

export async function startSecretServer(initially: Readonly<Record<string, string>>): Promise<SecretServer> {
  const parameters = new Map(Object.entries(initially));
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing, parameters).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    parameters,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  parameters: Map<string, string>,
): Promise<void> {
  const request = (await json(incoming)) as ParameterRequest;
  const say = (status: number, body: unknown) =>
    outgoing.writeHead(status, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify(body));
  const { Name: name = "", Value: value = "" } = request;
  const found = parameters.get(name);
  switch (String(incoming.headers["x-amz-target"])) {
    case "AmazonSSM.GetParameter":
      if (found === undefined || !request.WithDecryption) say(400, { __type: "ParameterNotFound" });
      else say(200, { Parameter: { Name: name, Value: found } });
      return;
    case "AmazonSSM.PutParameter":
      if (found !== undefined) say(400, { __type: "ParameterAlreadyExists" });
      else if (request.Type !== "SecureString") say(400, { __type: "ValidationException" });
      else {
        parameters.set(name, value);
        say(200, { Version: 1 });
      }
      return;
    default:
      say(400, { __type: "UnknownOperationException" });
  }
}
