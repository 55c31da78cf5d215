/**
 * Sends canned requests one after the other, counts the answers' bytes and drops them:
 * `node test/bench/client-child.ts <order.json>`.
 */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import type { CannedRequest } from "./canned-exchange.ts";

export interface ClientOrder {
  /** Of the repository. */
  readonly url: string;
  readonly requests: readonly CannedRequest[];
  /** How often one client sends them all. */
  readonly repeats: number;
  /** How many clients do so at the same time. */
  readonly clients: number;
}

export interface ClientResult {
  /** From sending a client's first request to the last byte of its last answer: of one repeat, all clients' together. */
  readonly wallSeconds: number;
  /** Of one repeat, all clients' together. */
  readonly bytes: number;
}

const [orderFile] = process.argv.slice(2);
if (orderFile === undefined) throw new Error("usage: client-child <order.json>");
const order = JSON.parse(readFileSync(orderFile, "utf8")) as ClientOrder;
const bodies = order.requests.map(({ bodyBase64 }) => Buffer.from(bodyBase64, "base64"));
const FLUSH = Buffer.from("0000");
let bytes = 0;

function send(agent: Agent, { method, endpoint, headers }: CannedRequest, body: Buffer): Promise<void> {
  const url = order.url + endpoint;
  return new Promise((resolve, reject) => {
    const length = method === "POST" ? { "content-length": body.length } : {};
    const options = { method, headers: { ...headers, ...length }, agent };
    const outgoing = request(url, options, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`${url} answered ${response.statusCode}`));
      let end: Buffer = Buffer.alloc(0);
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        end = chunk.length < FLUSH.length ? Buffer.concat([end, chunk]) : chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        // A server that fails on the way ends its answer without git's flush packet.
        if (end.subarray(-FLUSH.length).equals(FLUSH)) resolve();
        else reject(new Error(`the answer of ${url} does not end with a flush packet`));
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

async function run(): Promise<void> {
  // One connection for all requests of a client, as git has it.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (const [i, canned] of order.requests.entries()) await send(agent, canned, bodies[i] ?? Buffer.alloc(0));
  agent.destroy();
}

const startedAtMs = performance.now();
for (let repeat = 0; repeat < order.repeats; repeat++) {
  await Promise.all(Array.from({ length: order.clients }, run));
}
const wallSeconds = (performance.now() - startedAtMs) / 1000 / order.repeats;
const result: ClientResult = { wallSeconds, bytes: bytes / order.repeats };
console.log(JSON.stringify(result));
