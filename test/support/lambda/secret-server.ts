/** AWS's Systems Manager as the functions need it: one parameter. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

export interface SecretServer {
  readonly endpoint: string;
  close(): Promise<void>;
}

export async function startSecretServer(name: string, secret: string): Promise<SecretServer> {
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = (await json(incoming)) as { Name?: unknown; WithDecryption?: unknown };
    const isAsked =
      incoming.headers["x-amz-target"] === "AmazonSSM.GetParameter" &&
      body.Name === name &&
      body.WithDecryption === true;
    outgoing.writeHead(isAsked ? 200 : 400, { "content-type": "application/x-amz-json-1.1" });
    const found = { Parameter: { Name: name, Value: secret } };
    outgoing.end(JSON.stringify(isAsked ? found : { __type: "ParameterNotFound" }));
  };
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
