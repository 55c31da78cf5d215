/** POSTs a canned fetch request, counts the answer's bytes and drops them: `node test/bench/client-child.ts <url> <body file>`. */
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { FETCH_HEADERS } from "./fetch-headers.ts";

export interface ClientResult {
  /** From sending the request to the answer's last byte. */
  readonly wallSeconds: number;
  readonly bytes: number;
}

const [url, bodyFile] = process.argv.slice(2);
if (url === undefined || bodyFile === undefined) throw new Error("usage: client-child <url> <body file>");
const body = readFileSync(bodyFile);
let bytes = 0;
let lastChunk: Buffer = Buffer.alloc(0);
const startedAtMs = performance.now();
const headers = { ...FETCH_HEADERS, "content-length": body.length };
const outgoing = request(url, { method: "POST", headers, agent: false }, (response) => {
  if (response.statusCode !== 200) throw new Error(`${url} answered ${response.statusCode}`);
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    lastChunk = chunk;
  });
  response.on("end", () => {
    const result: ClientResult = { wallSeconds: (performance.now() - startedAtMs) / 1000, bytes };
    // A server that fails on the way ends its answer without git's flush packet.
    if (!lastChunk.toString("latin1").endsWith("0000"))
      throw new Error("the answer does not end with a flush packet");
    console.log(JSON.stringify(result));
  });
});
outgoing.end(body);
